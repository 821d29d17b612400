#include "auth/private_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/file_descriptor.h"
#include "base/text.h"

namespace atelier::auth {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;

FileDescriptor open_file(const std::filesystem::path& path, int flags, int mode = 0) {
  return FileDescriptor(::open(path.c_str(), flags | O_CLOEXEC, mode));
}

Status write_all(int file, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(errno_error(errno, fmt::format("write {}", name)));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file) != 0) return fail(errno_error(errno, fmt::format("write {}", name)));
  return {};
}

}  // namespace

Result<std::optional<std::string>> read_file(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const FileDescriptor file = open_file(path, O_RDONLY);
  if (file.get() < 0 && errno == ENOENT) return std::nullopt;
  if (file.get() < 0) return fail(errno_error(errno, fmt::format("read {}", name)));
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(errno_error(errno, fmt::format("read {}", name)));
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kFileBytesMax)
      return fail(Code::kTooLarge, fmt::format("{} is too large to be what it should be.", name));
  }
}

Status write_file(const std::filesystem::path& path, std::string_view text, FileMode mode) {
  const std::string name = path.filename().string();
  const std::filesystem::path temporary = path.string() + ".new-" + new_uuid();
  const auto write_temporary = [&]() -> Status {
    const FileDescriptor file = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, static_cast<int>(mode));
    if (file.get() < 0) return fail(errno_error(errno, fmt::format("create {}", name)));
    TRY(write_all(file.get(), text, name));
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(errno_error(errno, fmt::format("rename {}", name)));
    return {};
  };
  const Status status = write_temporary();
  if (!status) {
    ::unlink(temporary.c_str());
    return status;
  }
  const FileDescriptor folder = open_file(path.parent_path(), O_RDONLY | O_DIRECTORY);
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return fail(errno_error(errno, fmt::format("keep {}", name)));
  return {};
}

}  // namespace atelier::auth
