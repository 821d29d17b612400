#include "image/file_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace atelier::image {

Result<FileDescriptor> open_file(int at, const std::string& path, int flags, unsigned mode, std::string_view doing) {
  const int fd = ::openat(at, path.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(mode));
  if (fd < 0) return fail(errno_error(errno, doing));
  return FileDescriptor(fd);
}

Status write_all(int fd, std::span<const std::byte> bytes, std::string_view doing) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error(errno, doing));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Status write_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes, std::string_view doing) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error(errno, doing));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Status write_all_uncached(int fd, std::span<const std::byte> bytes, std::string_view doing) {
  constexpr std::size_t kAlignment = 4096;        // of memory, offset and length: no disk asks for more
  constexpr std::size_t kWorthFrom = 256u << 10;  // less than this goes to the disk faster together with others
  const int flags = ::fcntl(fd, F_GETFL);
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % kAlignment == 0;
  if (bytes.size() >= kWorthFrom && is_aligned && flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_DIRECT) == 0) {
    std::size_t left = bytes.size() / kAlignment * kAlignment;
    while (left > 0) {
      const ssize_t count = ::write(fd, bytes.data(), left);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EINVAL) break;  // not this file system after all: the rest goes the usual way
      if (count < 0) return fail(errno_error(errno, doing));
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      left -= static_cast<std::size_t>(count);
    }
    if (::fcntl(fd, F_SETFL, flags) != 0) return fail(errno_error(errno, doing));
  }
  return write_all(fd, bytes, doing);
}

Result<std::size_t> read_at(int fd, std::uint64_t offset, std::span<std::byte> into, std::string_view doing) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t count = ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error(errno, doing));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Status sync_file(int fd, std::string_view doing) {
  if (::fsync(fd) != 0) return fail(errno_error(errno, doing));
  return {};
}

Status sync_folder(int at, const std::string& path, std::string_view doing) {
  const FileDescriptor folder = TRY(open_file(at, path, O_RDONLY | O_DIRECTORY, 0, doing));
  return sync_file(folder.get(), doing);
}

Status replace_file(const std::filesystem::path& path, std::string_view text) {
  const std::string doing = "write " + path.filename().string();
  const std::string temporary = path.string() + ".new";
  {
    const FileDescriptor file = TRY(open_file(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644, doing));
    TRY(write_all(file.get(), std::as_bytes(std::span(text)), doing));
    TRY(sync_file(file.get(), doing));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(errno_error(errno, doing));
  return sync_folder(AT_FDCWD, path.parent_path().string(), doing);
}

}  // namespace atelier::image
