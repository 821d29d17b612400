// Owns an open file descriptor.
#pragma once

#include <utility>

namespace atelier {

// Closes its descriptor when it goes. One thread at a time.
class FileDescriptor {
 public:
  FileDescriptor() = default;                   // none
  explicit FileDescriptor(int fd) : fd_(fd) {}  // of a call that may have failed: below 0 is none
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor() { close(); }

  // Below 0 for none.
  int get() const { return fd_; }
  void close();

 private:
  int fd_ = -1;
};

}  // namespace atelier
