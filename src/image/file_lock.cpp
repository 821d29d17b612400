#include "image/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <thread>

namespace atelier::image {

constexpr std::string_view kDoing = "take the store's lock";

Result<std::unique_ptr<FileLock>> FileLock::acquire(const std::filesystem::path& file, Kind kind,
                                                    std::chrono::milliseconds wait) {
  FileDescriptor descriptor = TRY(open_file(AT_FDCWD, file.string(), O_RDWR | O_CREAT, 0644, kDoing));
  const int operation = kind == Kind::kExclusive ? LOCK_EX : LOCK_SH;
  const auto deadline = std::chrono::steady_clock::now() + wait;
  while (::flock(descriptor.get(), operation | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail(errno_error(errno, kDoing));
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(Code::kConflict, "The store is busy with another's work. Let that end, then try again.");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return std::unique_ptr<FileLock>(new FileLock(std::move(descriptor)));
}

Status FileLock::share() {
  if (::flock(file_.get(), LOCK_SH) != 0) return fail(errno_error(errno, kDoing));
  return {};
}

}  // namespace atelier::image
