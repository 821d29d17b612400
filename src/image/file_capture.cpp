#include "image/file_capture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "image/file_io.h"
#include "image/file_mapping.h"
#include "image/geometry.h"
#include "image/image_writer.h"

namespace atelier::image {
namespace {

struct DataRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

constexpr std::size_t kMappedAtOnce = 2u << 20;

// The next stretch of data at or after `offset`, in whole grains, up to the end of the file.
Result<DataRange> next_data(int fd, std::uint64_t offset, std::uint64_t file_bytes) {
  const off_t data = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0 && errno == ENXIO) return DataRange{file_bytes, 0};
  // A file system that does not know holes says so with EINVAL: then all is data.
  if (data < 0 && errno == EINVAL) return DataRange{offset, file_bytes - offset};
  if (data < 0) return fail(errno_error(errno, "find the disk file's data"));
  const off_t hole = ::lseek(fd, data, SEEK_HOLE);
  if (hole < 0) return fail(errno_error(errno, "find the disk file's holes"));
  const std::uint64_t start = std::max(offset, static_cast<std::uint64_t>(data) / kGrainBytes * kGrainBytes);
  const std::uint64_t end = (static_cast<std::uint64_t>(hole) + kGrainBytes - 1) / kGrainBytes * kGrainBytes;
  return DataRange{start, std::min(end, file_bytes) - start};
}

// Reads what the writer has room for, up to `end`.
Status read_into(ImageWriter& writer, int fd, std::uint64_t end) {
  const auto room = TRY(writer.reserve());
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), end - writer.position()));
  const std::size_t count = TRY(read_at(fd, writer.position(), room.first(wanted), "read the disk file"));
  if (count == 0) return fail(Code::kConflict, "The disk file shrank while it was read.");
  return writer.append_reserved(count);
}

}  // namespace

Result<CaptureResult> capture_raw_file(Store& store, const std::filesystem::path& path,
                                       const FileCaptureOptions& options, TaskContext& task) {
  const FileDescriptor file =
      TRY(open_file(AT_FDCWD, path.string(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, "open the disk file"));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail(errno_error(errno, "look at the disk file"));
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || file_bytes == 0 || file_bytes % 512 != 0) {
    return fail(Code::kInvalidArgument, "A raw disk file has a multiple of 512 bytes, and some.");
  }
  // Before the writer, which reads what is mapped as long as it lives.
  const auto mapping = FileMapping::take(file.get(), file_bytes);
  const auto writer = TRY(ImageWriter::begin(store, file_bytes, {.label = options.label, .threads = options.threads}));
  std::uint64_t bytes_read = 0;
  while (writer->position() < file_bytes) {
    const DataRange data = TRY(next_data(file.get(), writer->position(), file_bytes));
    if (data.offset > writer->position()) TRY(writer->append_hole(data.offset - writer->position()));
    const std::uint64_t end = data.offset + data.bytes;
    while (writer->position() < end) {
      TRY(task.check());
      const std::uint64_t position = writer->position();
      if (mapping) {
        const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(kMappedAtOnce, end - position));
        const auto mapped = TRY(mapping->bring(position, bytes));
        TRY(writer->append_lent(mapped));
      } else {
        TRY(read_into(*writer, file.get(), end));
      }
      bytes_read += writer->position() - position;
      Progress progress = writer->counts();
      progress.phase = "Reading";
      progress.bytes_total = file_bytes;
      task.report(progress);
    }
  }
  if (mapping) TRY(mapping->check());
  ImageRecord record = TRY(writer->finish(task));
  return CaptureResult{std::move(record), bytes_read};
}

}  // namespace atelier::image
