// For the sources of this folder only: an operation while it runs in this process.
#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "base/json.h"
#include "base/task_context.h"
#include "ops/operation.h"

namespace atelier::ops {

// Any thread may use it.
class Job {
 public:
  using Clock = std::chrono::steady_clock;

  Job(Operation operation, std::string lease, std::chrono::milliseconds rate_window)
      : operation_(std::move(operation)), lease_(std::move(lease)), rate_window_(rate_window) {}

  const Operation& operation() const { return operation_; }
  const std::string& lease() const { return lease_; }

  // What the journey gets.
  TaskContext context() {
    return TaskContext(stop_.get_token(), [this](const Progress& progress) { report(progress); });
  }

  void report(const Progress& progress);
  // The progress for the table: as it is now, or only if there was a report since the last time.
  json::object progress_now() const;
  std::optional<json::object> take_changed_progress();

  // Why it should stop. Canceled: somebody asked. Lost: another runner may have it now, so its outcome does not count.
  void stop() { stop_.request_stop(); }
  void cancel();
  void lose();
  bool is_canceled() const;
  bool is_lost() const;

  // Until when the lease holds for sure.
  void set_lease_end(Clock::time_point end);
  Clock::time_point lease_end() const;

 private:
  struct Sample {
    Clock::time_point time;
    std::uint64_t bytes;
  };
  double rate_at(Clock::time_point time) const;  // with mutex_ held

  const Operation operation_;
  const std::string lease_;
  const std::chrono::milliseconds rate_window_;
  std::stop_source stop_;

  mutable std::mutex mutex_;  // guards all below
  Progress progress_;
  bool changed_ = false;
  std::deque<Sample> samples_;  // oldest first, at most a few dozen
  bool canceled_ = false;
  bool lost_ = false;
  Clock::time_point lease_end_;
};

}  // namespace atelier::ops
