// An exclusive lock between processes, held as long as the object lives. The kernel frees it when its process dies.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "image/file_io.h"

namespace atelier::image {

class FileLock {
 public:
  // Makes the file if it is absent. Waits up to `wait` for another holder, in this process or another, then fails with
  // kConflict.
  static Result<std::unique_ptr<FileLock>> acquire(const std::filesystem::path& file, std::chrono::milliseconds wait);

 private:
  explicit FileLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

}  // namespace atelier::image
