#include "ops/job.h"

#include "ops/operation_row.h"

namespace atelier::ops {
namespace {

constexpr int kSamplesPerWindow = 40;

}  // namespace

void Job::report(const Progress& progress) {
  const Clock::time_point time = Clock::now();
  const std::lock_guard lock(mutex_);
  // A job that starts counting anew (another phase, corrected) has a rate of its own.
  if (progress.bytes_done < progress_.bytes_done) samples_.clear();
  progress_ = progress;
  changed_ = true;
  if (samples_.empty() || time - samples_.back().time >= rate_window_ / kSamplesPerWindow) {
    samples_.push_back({time, progress.bytes_done});
  }
  while (samples_.size() > 2 && time - samples_.front().time > rate_window_) samples_.pop_front();
}

double Job::rate_at(Clock::time_point time) const {
  if (samples_.empty()) return 0;
  const double seconds = std::chrono::duration<double>(time - samples_.front().time).count();
  if (seconds <= 0) return 0;
  return static_cast<double>(progress_.bytes_done - samples_.front().bytes) / seconds;
}

json::object Job::progress_now() const {
  const std::lock_guard lock(mutex_);
  return progress_to_json(progress_, rate_at(Clock::now()));
}

std::optional<json::object> Job::take_changed_progress() {
  const std::lock_guard lock(mutex_);
  if (!changed_) return std::nullopt;
  changed_ = false;
  return progress_to_json(progress_, rate_at(Clock::now()));
}

// request_stop runs the stop callbacks of the journey here and now: never with the mutex held.
void Job::cancel() {
  {
    const std::lock_guard lock(mutex_);
    canceled_ = true;
  }
  stop_.request_stop();
}

void Job::lose() {
  {
    const std::lock_guard lock(mutex_);
    lost_ = true;
  }
  stop_.request_stop();
}

bool Job::is_canceled() const {
  const std::lock_guard lock(mutex_);
  return canceled_;
}

bool Job::is_lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

void Job::set_lease_end(Clock::time_point end) {
  const std::lock_guard lock(mutex_);
  lease_end_ = end;
}

Job::Clock::time_point Job::lease_end() const {
  const std::lock_guard lock(mutex_);
  return lease_end_;
}

}  // namespace atelier::ops
