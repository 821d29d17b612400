#include "image/restore.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>
#include <vector>

#include "base/text.h"
#include "image/file_io.h"
#include "image/image_reader.h"

namespace atelier::image {
namespace {

constexpr std::size_t kReadBytes = 4U << 20;
constexpr std::uint64_t kExtentsWindowBytes = std::uint64_t{1} << 30;

Status write_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error(errno, "write the disk file"));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Status write_disk(ImageReader& reader, int fd, TaskContext& task) {
  const std::uint64_t disk_bytes = reader.disk_bytes();
  if (::ftruncate(fd, static_cast<off_t>(disk_bytes)) != 0) return fail(errno_error(errno, "size the disk file"));
  std::vector<std::byte> buffer(kReadBytes);
  for (std::uint64_t at = 0; at < disk_bytes;) {
    const auto extents = TRY(reader.extents(at, std::min(kExtentsWindowBytes, disk_bytes - at)));
    for (const Extent& extent : extents) {
      const std::uint64_t end = extent.offset + extent.bytes;
      for (std::uint64_t offset = extent.offset; extent.kind == Extent::Kind::kData && offset < end;) {
        TRY(task.check());
        const auto piece = std::span(buffer).first(std::min<std::uint64_t>(kReadBytes, end - offset));
        TRY(reader.read(offset, piece));
        TRY(write_at(fd, offset, piece));
        offset += piece.size();
        task.report({.phase = "Writing", .bytes_done = offset, .bytes_total = disk_bytes});
      }
      at = end;
    }
    if (extents.empty()) return fail(Code::kInternal, "The image describes no extent of its disk.");
  }
  task.report({.phase = "Writing", .bytes_done = disk_bytes, .bytes_total = disk_bytes});
  return {};
}

}  // namespace

Status restore_raw_file(Store& store, const Digest& root, const std::filesystem::path& path, TaskContext& task) {
  const auto reader = TRY(ImageReader::open(store, root));
  const std::filesystem::path target = std::filesystem::absolute(path);
  const std::filesystem::path part = target.string() + "." + new_uuid() + ".part";
  const auto write = [&]() -> Status {
    const FileDescriptor file =
        TRY(open_file(AT_FDCWD, part.string(), O_WRONLY | O_CREAT | O_EXCL, 0644, "make the disk file"));
    TRY(write_disk(*reader, file.get(), task));
    TRY(sync_file(file.get(), "make the disk file durable"));
    if (::rename(part.c_str(), target.c_str()) != 0) return fail(errno_error(errno, "name the disk file"));
    return sync_folder(AT_FDCWD, target.parent_path().string(), "make the disk file's name durable");
  };
  const Status status = write();
  if (!status) ::unlink(part.c_str());
  return status;
}

}  // namespace atelier::image
