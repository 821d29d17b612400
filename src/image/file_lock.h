// A lock between processes, held as long as the object lives. The kernel frees it when its process dies.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "image/file_io.h"

namespace atelier::image {

// One thread at a time.
class FileLock {
 public:
  enum class Kind { kShared, kExclusive };

  // Makes the file if it is absent. Waits up to `wait` for holders that stand in the way, in this process or another,
  // then fails with kConflict.
  static Result<std::unique_ptr<FileLock>> acquire(const std::filesystem::path& file, Kind kind,
                                                   std::chrono::milliseconds wait);
  // From exclusive to shared: others may come in, and for a moment nobody may hold it.
  Status share();

 private:
  explicit FileLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

}  // namespace atelier::image
