#include "image/faulty_bucket.h"

#include <algorithm>
#include <thread>

namespace atelier::image {

void FaultyBucket::restart(const FaultPlan& plan) {
  const std::lock_guard lock(mutex_);
  plan_ = plan;
  counts_ = {};
}

BucketCounts FaultyBucket::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

FaultyBucket::Verdict FaultyBucket::next(std::uint64_t BucketCounts::* counter, std::uint64_t BucketCounts::* bytes,
                                         std::uint64_t byte_count) {
  std::chrono::microseconds delay{0};
  Verdict verdict = Verdict::kDo;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t number = counts_.operations++;
    counts_.*counter += 1;
    counts_.*bytes += byte_count;
    delay = plan_.delay;
    if (delay.count() > 0) counts_.at_once = std::max(counts_.at_once, ++delayed_);
    const bool is_the_one = number == plan_.fail_at;
    const bool is_after = number > plan_.fail_at && plan_.afterwards == FaultPlan::Afterwards::kFails;
    if (is_the_one || is_after) {
      ++counts_.failures;
      verdict = is_the_one && plan_.effect == FaultPlan::Effect::kHappensUnseen ? Verdict::kDoAndFail : Verdict::kFail;
    }
  }
  if (delay.count() > 0) {
    std::this_thread::sleep_for(delay);
    const std::lock_guard lock(mutex_);
    --delayed_;
  }
  return verdict;
}

std::unexpected<Error> FaultyBucket::failure() const {
  const std::lock_guard lock(mutex_);
  return fail(plan_.code, "The bucket failed on purpose.");
}

Status FaultyBucket::put(std::string_view name, std::span<const std::byte> bytes) {
  const Verdict verdict = next(&BucketCounts::puts, &BucketCounts::bytes_put, bytes.size());
  if (verdict == Verdict::kFail) return failure();
  Status done = inner_->put(name, bytes);
  if (verdict == Verdict::kDoAndFail) return failure();
  return done;
}

Result<std::size_t> FaultyBucket::get(std::string_view name, std::uint64_t offset, std::span<std::byte> into) {
  if (next(&BucketCounts::gets, &BucketCounts::bytes_got, into.size()) != Verdict::kDo) return failure();
  return inner_->get(name, offset, into);
}

Result<std::uint64_t> FaultyBucket::size(std::string_view name) {
  if (next(&BucketCounts::gets, &BucketCounts::bytes_got, 0) != Verdict::kDo) return failure();
  return inner_->size(name);
}

Result<std::vector<BucketEntry>> FaultyBucket::list(std::string_view prefix) {
  if (next(&BucketCounts::lists, &BucketCounts::bytes_got, 0) != Verdict::kDo) return failure();
  return inner_->list(prefix);
}

Status FaultyBucket::erase(std::string_view name) {
  const Verdict verdict = next(&BucketCounts::erases, &BucketCounts::bytes_put, 0);
  if (verdict == Verdict::kFail) return failure();
  Status done = inner_->erase(name);
  if (verdict == Verdict::kDoAndFail) return failure();
  return done;
}

Status FaultyBucket::remove_leftovers() {
  if (next(&BucketCounts::erases, &BucketCounts::bytes_put, 0) != Verdict::kDo) return failure();
  return inner_->remove_leftovers();
}

}  // namespace atelier::image
