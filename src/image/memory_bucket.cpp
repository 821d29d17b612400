#include "image/memory_bucket.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

namespace atelier::image {
namespace {

std::unexpected<Error> no_object(std::string_view name) {
  return fail(Code::kNotFound, fmt::format("There is no object {}.", name));
}

}  // namespace

Status MemoryBucket::put(std::string_view name, std::span<const std::byte> bytes) {
  TRY(check_object_name(name));
  const std::unique_lock lock(mutex_);
  const auto [place, inserted] = objects_.try_emplace(std::string(name), bytes.begin(), bytes.end());
  if (!inserted) return fail(Code::kAlreadyExists, fmt::format("The object {} exists already.", name));
  return {};
}

Result<std::size_t> MemoryBucket::get(std::string_view name, std::uint64_t offset, std::span<std::byte> into) {
  TRY(check_object_name(name));
  const std::shared_lock lock(mutex_);
  const auto found = objects_.find(name);
  if (found == objects_.end()) return no_object(name);
  const std::vector<std::byte>& bytes = found->second;
  if (offset >= bytes.size()) return std::size_t{0};
  const std::size_t count = std::min(into.size(), bytes.size() - static_cast<std::size_t>(offset));
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, into.begin());
  return count;
}

Result<std::uint64_t> MemoryBucket::size(std::string_view name) {
  TRY(check_object_name(name));
  const std::shared_lock lock(mutex_);
  const auto found = objects_.find(name);
  if (found == objects_.end()) return no_object(name);
  return found->second.size();
}

Result<std::vector<BucketEntry>> MemoryBucket::list(std::string_view prefix) {
  if (!prefix.ends_with('/')) return fail(Code::kInvalidArgument, "A prefix to list must end in '/'.");
  TRY(check_object_name(prefix.substr(0, prefix.size() - 1)));
  const std::shared_lock lock(mutex_);
  std::vector<BucketEntry> entries;
  for (auto place = objects_.lower_bound(prefix); place != objects_.end() && place->first.starts_with(prefix);
       ++place) {
    entries.push_back({place->first, place->second.size()});
  }
  return entries;
}

Status MemoryBucket::erase(std::string_view name) {
  TRY(check_object_name(name));
  const std::unique_lock lock(mutex_);
  const auto found = objects_.find(name);
  if (found != objects_.end()) objects_.erase(found);
  return {};
}

}  // namespace atelier::image
