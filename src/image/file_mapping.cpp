#include "image/file_mapping.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

namespace atelier::image {
namespace {

constexpr std::uint64_t kAhead = 8u << 20;
// More than the batches of a writer hold: what lies before is not read any more.
constexpr std::uint64_t kBehind = 16u << 20;
constexpr std::uint64_t kReleaseStep = 8u << 20;
constexpr std::uint64_t kPage = 4096;

}  // namespace

std::unique_ptr<FileMapping> FileMapping::take(int fd, std::uint64_t file_bytes) {
  // Told by a signal that nobody minds; check() asks.
  if (::fcntl(fd, F_SETSIG, SIGURG) != 0 || ::fcntl(fd, F_SETLEASE, F_RDLCK) != 0) return nullptr;
  void* const memory = ::mmap(nullptr, file_bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    ::fcntl(fd, F_SETLEASE, F_UNLCK);
    return nullptr;
  }
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::unique_ptr<FileMapping>(new FileMapping(fd, static_cast<std::byte*>(memory), file_bytes));
}

FileMapping::~FileMapping() {
  ::munmap(memory_, bytes_);
  ::fcntl(fd_, F_SETLEASE, F_UNLCK);
}

Status FileMapping::check() const {
  if (::fcntl(fd_, F_GETLEASE) == F_RDLCK) return {};
  return fail(Code::kConflict, "The file is being changed while it is read. Let that end, then try again.");
}

Result<std::span<const std::byte>> FileMapping::bring(std::uint64_t offset, std::size_t bytes) {
  TRY(check());
  const std::uint64_t end = std::min<std::uint64_t>(offset + bytes, bytes_);
  const std::uint64_t begin = offset / kPage * kPage;
  if (end + kAhead / 2 > asked_) {
    const std::uint64_t from = std::max(asked_, end);
    ::posix_fadvise(fd_, static_cast<off_t>(from), static_cast<off_t>(end + kAhead - from), POSIX_FADV_WILLNEED);
    asked_ = end + kAhead;
  }
  // EINVAL: a kernel before 5.14; then each page is brought when it is read.
  if (::madvise(memory_ + begin, end - begin, MADV_POPULATE_READ) != 0 && errno != EINVAL) {
    return fail(errno_error(errno == EFAULT ? EIO : errno, "read the file"));
  }
  if (offset > released_ + kBehind + kReleaseStep) {
    const std::uint64_t until = (offset - kBehind) / kPage * kPage;
    ::madvise(memory_ + released_, until - released_, MADV_DONTNEED);
    released_ = until;
  }
  return std::span<const std::byte>(memory_ + offset, static_cast<std::size_t>(end - offset));
}

}  // namespace atelier::image
