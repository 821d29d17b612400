// A bucket in memory: for tests, and for stores that need not outlive the process.
#pragma once

#include <map>
#include <shared_mutex>
#include <string>
#include <vector>

#include "image/bucket.h"

namespace atelier::image {

class MemoryBucket final : public Bucket {
 public:
  Status put(std::string_view name, std::span<const std::byte> bytes) override;
  Result<std::size_t> get(std::string_view name, std::uint64_t offset, std::span<std::byte> into) override;
  Result<std::uint64_t> size(std::string_view name) override;
  Result<std::vector<BucketEntry>> list(std::string_view prefix) override;
  Status erase(std::string_view name) override;
  Status remove_leftovers() override { return {}; }

 private:
  std::shared_mutex mutex_;
  std::map<std::string, std::vector<std::byte>, std::less<>> objects_;  // guarded by mutex_
};

}  // namespace atelier::image
