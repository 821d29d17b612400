#include "atelier/disk_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "base/text.h"
#include "image/file_capture.h"
#include "image/file_io.h"
#include "image/image_record.h"
#include "image/restore.h"

namespace atelier::cli {
namespace {

// A private folder beside the file to write, gone at the end with all that is left in it.
class PartFolder {
 public:
  static Result<PartFolder> make(const std::filesystem::path& target) {
    PartFolder folder(target.string() + "." + new_uuid() + ".part");
    if (::mkdir(folder.path_.c_str(), 0700) != 0) return fail(errno_error(errno, "make a folder beside the disk file"));
    return folder;
  }
  PartFolder(PartFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PartFolder& operator=(PartFolder&&) = delete;
  ~PartFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit PartFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// What another program will read must be what was stored.
Status check_written(const std::filesystem::path& file, std::uint64_t disk_bytes) {
  const auto format = image::inspect_disk_file(file);
  if (format && format->virtual_bytes == disk_bytes) return {};
  return fail(Code::kInternal, "The written file does not hold the whole disk. It was removed again.");
}

Status make_durable(const std::filesystem::path& file) {
  const FileDescriptor descriptor =
      TRY(image::open_file(AT_FDCWD, file.string(), O_RDWR, 0, "open the written disk file"));
  return image::sync_file(descriptor.get(), "make the disk file durable");
}

}  // namespace

Result<image::CaptureResult> store_disk_file(image::Store& store, const std::filesystem::path& file,
                                             const image::DiskFormat& format, const std::string& label,
                                             TaskContext& task) {
  if (format.kind == image::DiskFormat::Kind::kRaw) {
    return image::capture_raw_file(store, file, {.label = label}, task);
  }
  const vm::FileFormat file_format = TRY(vm::parse_file_format(image::to_string(format.kind)));
  const auto disk = TRY(vm::export_file(std::filesystem::absolute(file), file_format));
  image::CaptureOptions options;
  options.nbd_uri = disk.uri();
  options.disk_bytes = format.virtual_bytes;
  options.label = label;
  return image::capture_disk(store, options, task);
}

Status write_disk_file(image::Store& store, const image::Digest& root, const std::filesystem::path& path,
                       const vm::TargetFormat& target, TaskContext& task) {
  if (target.format == vm::FileFormat::kRaw) return image::restore_raw_file(store, root, path, task);
  const std::optional<image::ImageRecord> record = TRY(image::find_image(store, root));
  if (!record) return fail(Code::kNotFound, "The store has no such image.");
  TRY(vm::check_disk_fits(target, record->disk_bytes));

  const std::filesystem::path whole = std::filesystem::absolute(path);
  const PartFolder folder = TRY(PartFolder::make(whole));
  const std::filesystem::path raw = folder.path() / "raw";
  const std::filesystem::path written = folder.path() / "disk";
  TRY(image::restore_raw_file(store, root, raw, task));
  task.report({.phase = "Converting", .bytes_done = 0, .bytes_total = record->disk_bytes});
  TRY_DURING(vm::convert_raw_file({.raw = raw, .folder = folder.path(), .name = "disk", .target = target}),
             "write the disk in its format");
  TRY(check_written(written, record->disk_bytes));
  TRY(make_durable(written));
  if (::rename(written.c_str(), whole.c_str()) != 0) return fail(errno_error(errno, "name the disk file"));
  return image::sync_folder(AT_FDCWD, whole.parent_path().string(), "make the disk file's name durable");
}

}  // namespace atelier::cli
