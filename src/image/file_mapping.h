// A file's bytes where the page cache has them, while nobody can change them: saves the copy that a read makes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"

namespace atelier::image {

// Holds a read lease on the file (fcntl(2), "Leases"): whoever wants to write to the file or to cut it waits until the
// lease goes, which the owner of this mapping hears of at the next bring(). One thread.
class FileMapping {
 public:
  // None where there is no lease to be had: the file is open for writing, belongs to another user, or its file system
  // has no leases. `fd` must stay open as long as the mapping lives, and should not be used for other leases.
  static std::unique_ptr<FileMapping> take(int fd, std::uint64_t file_bytes);
  ~FileMapping();
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;

  // These bytes of the file, brought into memory; they stay readable as long as the mapping lives. Offsets must grow.
  // kConflict when somebody wants to change the file, kInternal when it cannot be read. What is read after bring(), and
  // was driven out of memory in between by others, and can then not be read a second time, ends the process (SIGBUS).
  Result<std::span<const std::byte>> bring(std::uint64_t offset, std::size_t bytes);
  // Is the lease still held?
  Status check() const;

 private:
  FileMapping(int fd, std::byte* memory, std::uint64_t bytes) : fd_(fd), memory_(memory), bytes_(bytes) {}

  const int fd_;
  std::byte* const memory_;
  const std::uint64_t bytes_;
  std::uint64_t asked_ = 0;     // up to here the kernel was asked to read
  std::uint64_t released_ = 0;  // before this, the mapping holds no pages of its own
};

}  // namespace atelier::image
