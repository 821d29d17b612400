// A bucket around a bucket that counts, delays, and fails on purpose: shows what a store does when its medium fails.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>

#include "image/bucket.h"

namespace atelier::image {

struct FaultPlan {
  enum class Effect {
    kNothingHappens,  // the operation is not done
    kHappensUnseen,   // a put or erase is done, and yet reported as failed: the answer was lost
  };
  enum class Afterwards {
    kWorks,  // one failure
    kFails,  // the medium is gone: everything fails from then on
  };
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t fail_at = kNever;  // the number, from 0, of the operation that fails; all operations count
  Effect effect = Effect::kNothingHappens;
  Afterwards afterwards = Afterwards::kFails;
  Code code = Code::kInternal;
  std::chrono::microseconds delay{0};  // before each operation
};

struct BucketCounts {
  std::uint64_t operations = 0, puts = 0, gets = 0, lists = 0, erases = 0, bytes_put = 0, bytes_got = 0, failures = 0;
  std::uint64_t at_once = 0;  // the most operations that were delayed at the same time
};

class FaultyBucket final : public Bucket {
 public:
  FaultyBucket(std::unique_ptr<Bucket> inner, const FaultPlan& plan) : inner_(std::move(inner)), plan_(plan) {}

  // Sets a new plan and counts operations from 0 again.
  void restart(const FaultPlan& plan);
  BucketCounts counts() const;

  Status put(std::string_view name, std::span<const std::byte> bytes) override;
  Result<std::size_t> get(std::string_view name, std::uint64_t offset, std::span<std::byte> into) override;
  Result<std::uint64_t> size(std::string_view name) override;
  Result<std::vector<BucketEntry>> list(std::string_view prefix) override;
  Status erase(std::string_view name) override;
  Status remove_leftovers() override;

 private:
  enum class Verdict { kDo, kFail, kDoAndFail };
  Verdict next(std::uint64_t BucketCounts::* counter, std::uint64_t BucketCounts::* bytes, std::uint64_t byte_count);
  std::unexpected<Error> failure() const;

  const std::unique_ptr<Bucket> inner_;
  mutable std::mutex mutex_;
  FaultPlan plan_;             // guarded by mutex_
  BucketCounts counts_;        // guarded by mutex_
  std::uint64_t delayed_ = 0;  // guarded by mutex_: how many are now
};

}  // namespace atelier::image
