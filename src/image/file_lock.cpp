#include "image/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <thread>

namespace atelier::image {

Result<std::unique_ptr<FileLock>> FileLock::acquire(const std::filesystem::path& file, std::chrono::milliseconds wait) {
  constexpr std::string_view kDoing = "open the store's lock";
  FileDescriptor descriptor = TRY(open_file(AT_FDCWD, file.string(), O_RDWR | O_CREAT, 0644, kDoing));
  const auto deadline = std::chrono::steady_clock::now() + wait;
  while (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail(errno_error(errno, kDoing));
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(Code::kConflict,
                  "The store is open for writing somewhere else. Stop the other writer, or let it do the work.");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return std::unique_ptr<FileLock>(new FileLock(std::move(descriptor)));
}

}  // namespace atelier::image
