// A bucket in a folder of a local file system: an object is a file of the same name.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "image/bucket.h"
#include "image/file_io.h"

namespace atelier::image {

// put() writes to a temporary file, syncs it, links it under its name without ever replacing a file, and syncs the
// folder. Temporary files are in `.new/`.
class DirectoryBucket final : public Bucket {
 public:
  // Read-write makes the folder if it is absent; read-only fails with kNotFound.
  static Result<std::unique_ptr<DirectoryBucket>> open(const std::filesystem::path& folder, Access access);

  Status put(std::string_view name, std::span<const std::byte> bytes) override;
  Result<std::size_t> get(std::string_view name, std::uint64_t offset, std::span<std::byte> into) override;
  Result<std::uint64_t> size(std::string_view name) override;
  Result<std::vector<BucketEntry>> list(std::string_view prefix) override;
  Status erase(std::string_view name) override;
  Status remove_leftovers() override;

 private:
  DirectoryBucket(FileDescriptor folder, Access access) : folder_(std::move(folder)), access_(access) {}
  Status check_writable() const;
  Status ensure_folder(const std::string& path);
  Status confirm(Status synced);
  Status write_temporary(const std::string& path, std::span<const std::byte> bytes);
  Result<std::shared_ptr<const FileDescriptor>> open_cached(std::string_view name);
  Status list_folder(const std::string& path, std::vector<BucketEntry>& entries);

  const FileDescriptor folder_;
  const Access access_;
  // The medium failed to confirm a write once: what it says from then on cannot be trusted.
  std::atomic<bool> unconfirmed_{false};
  std::mutex mutex_;
  std::set<std::string> durable_folders_;  // guarded by mutex_
  // Open objects. Shared, because a reader may still be reading from one that is evicted or erased.
  std::unordered_map<std::string, std::shared_ptr<const FileDescriptor>> open_files_;  // guarded by mutex_
};

}  // namespace atelier::image
