#include "image/directory_bucket.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/log.h"
#include "base/text.h"

namespace atelier::image {
namespace {

constexpr std::size_t kOpenFilesMax = 128;
constexpr const char* kTemporaryFolder = ".new";

std::string parent_of(std::string_view name) {
  const auto slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string(".") : std::string(name.substr(0, slash));
}

// Gives the file its name, and never replaces another file. Where the file system has no such rename, a second link
// does the same.
Status name_file(int folder, const std::string& temporary, const std::string& name) {
  if (::renameat2(folder, temporary.c_str(), folder, name.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EINVAL || errno == ENOSYS) {
    if (::linkat(folder, temporary.c_str(), folder, name.c_str(), 0) == 0) {
      ::unlinkat(folder, temporary.c_str(), 0);
      return {};
    }
  }
  return fail(errno_error(errno, fmt::format("name the object {}", name)));
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

}  // namespace

Result<std::unique_ptr<DirectoryBucket>> DirectoryBucket::open(const std::filesystem::path& folder, Access access) {
  constexpr std::string_view kDoing = "open the bucket's folder";
  if (access == Access::kReadWrite) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fail(errno_error(error.value(), kDoing));
    const std::filesystem::path parent = std::filesystem::absolute(folder, error).lexically_normal().parent_path();
    if (!error) TRY(sync_folder(AT_FDCWD, parent.string(), kDoing));
  }
  FileDescriptor descriptor = TRY(open_file(AT_FDCWD, folder.string(), O_RDONLY | O_DIRECTORY, 0, kDoing));
  return std::unique_ptr<DirectoryBucket>(new DirectoryBucket(std::move(descriptor), access));
}

Status DirectoryBucket::check_writable() const {
  if (access_ == Access::kReadOnly) return fail(Code::kFailedPrecondition, "The bucket is open for reading only.");
  if (unconfirmed_.load()) {
    return fail(Code::kUnavailable,
                "The disk failed to confirm an earlier write. Check the disk, then open the store again.");
  }
  return {};
}

// A failed sync is never tried again, neither on this file nor by way of the next one.
Status DirectoryBucket::confirm(Status synced) {
  if (!synced && synced.error().code() != Code::kResourceExhausted) {
    unconfirmed_.store(true);
    log::error("bucket: {}; no more writes until it is opened again", synced.error().message());
  }
  return synced;
}

// Makes a folder and its parents, durably. A folder that exists may come from a writer that died before it synced, so
// each is synced once by each process.
Status DirectoryBucket::ensure_folder(const std::string& path) {
  if (path == ".") return {};
  {
    const std::lock_guard lock(mutex_);
    if (durable_folders_.contains(path)) return {};
  }
  const std::string parent = parent_of(path);
  TRY(ensure_folder(parent));
  if (::mkdirat(folder_.get(), path.c_str(), 0755) != 0 && errno != EEXIST) {
    return fail(errno_error(errno, "make a folder of the bucket"));
  }
  TRY(confirm(sync_folder(folder_.get(), parent, "sync a folder of the bucket")));
  const std::lock_guard lock(mutex_);
  durable_folders_.insert(path);
  return {};
}

Status DirectoryBucket::write_temporary(const std::string& path, std::span<const std::byte> bytes) {
  const FileDescriptor file =
      TRY(open_file(folder_.get(), path, O_WRONLY | O_CREAT | O_EXCL, 0644, "make an object's file"));
  TRY(write_all_uncached(file.get(), bytes, "write an object"));
  return confirm(sync_file(file.get(), "sync an object"));
}

Status DirectoryBucket::put(std::string_view name, std::span<const std::byte> bytes) {
  TRY(check_object_name(name));
  TRY(check_writable());
  const std::string path(name);
  const std::string folder = parent_of(name);
  TRY(ensure_folder(kTemporaryFolder));
  TRY(ensure_folder(folder));
  const std::string temporary = fmt::format("{}/{}", kTemporaryFolder, new_uuid());
  Status done = write_temporary(temporary, bytes);
  if (done) done = name_file(folder_.get(), temporary, path);
  const bool exists = !done && done.error().code() == Code::kAlreadyExists;
  if (!done) ::unlinkat(folder_.get(), temporary.c_str(), 0);
  if (!done && !exists) return fail(done.error().during(fmt::format("put {}", name)));
  // Also when it existed: who made it may have died before this step.
  TRY(confirm(sync_folder(folder_.get(), folder, "sync a folder of the bucket")));
  if (exists) return fail(Code::kAlreadyExists, fmt::format("The object {} exists already.", name));
  return {};
}

// Another process may have erased what is open here: then its file has no name any more.
Result<std::shared_ptr<const FileDescriptor>> DirectoryBucket::open_cached(std::string_view name) {
  TRY(check_object_name(name));
  const std::string path(name);
  struct stat status{};
  {
    const std::lock_guard lock(mutex_);
    const auto found = open_files_.find(path);
    if (found != open_files_.end()) {
      if (::fstat(found->second->get(), &status) == 0 && status.st_nlink > 0) return found->second;
      open_files_.erase(found);
    }
  }
  auto opened = std::make_shared<const FileDescriptor>(
      TRY(open_file(folder_.get(), path, O_RDONLY, 0, fmt::format("open the object {}", name))));
  if (::fstat(opened->get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return fail(Code::kNotFound, fmt::format("There is no object {}.", name));
  }
  const std::lock_guard lock(mutex_);
  if (open_files_.size() >= kOpenFilesMax) open_files_.erase(open_files_.begin());
  return open_files_.emplace(path, std::move(opened)).first->second;
}

Result<std::size_t> DirectoryBucket::get(std::string_view name, std::uint64_t offset, std::span<std::byte> into) {
  const auto file = TRY(open_cached(name));
  return read_at(file->get(), offset, into, fmt::format("read the object {}", name));
}

Result<std::uint64_t> DirectoryBucket::size(std::string_view name) {
  const auto file = TRY(open_cached(name));
  struct stat status{};
  if (::fstat(file->get(), &status) != 0) return fail(errno_error(errno, fmt::format("look at the object {}", name)));
  return static_cast<std::uint64_t>(status.st_size);
}

Status DirectoryBucket::list_folder(const std::string& path, std::vector<BucketEntry>& entries) {
  auto opened = open_file(folder_.get(), path, O_RDONLY | O_DIRECTORY, 0, fmt::format("list {}", path));
  if (!opened && opened.error().code() == Code::kNotFound) return {};
  const FileDescriptor folder = TRY(std::move(opened));
  const std::unique_ptr<DIR, CloseFolder> stream(::fdopendir(::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0)));
  if (stream == nullptr) return fail(errno_error(errno, fmt::format("list {}", path)));
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(stream.get());  // NOLINT(concurrency-mt-unsafe): the stream is our own
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    const std::string name = fmt::format("{}/{}", path, entry->d_name);
    struct stat status{};
    // Gone in the meantime: erased by another thread.
    if (::fstatat(folder_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(status.st_mode)) TRY(list_folder(name, entries));
    if (S_ISREG(status.st_mode)) entries.push_back({name, static_cast<std::uint64_t>(status.st_size)});
  }
  if (errno != 0) return fail(errno_error(errno, fmt::format("list {}", path)));
  if (access_ == Access::kReadWrite) TRY(confirm(sync_file(folder.get(), "sync a folder of the bucket")));
  return {};
}

Result<std::vector<BucketEntry>> DirectoryBucket::list(std::string_view prefix) {
  if (!prefix.ends_with('/')) return fail(Code::kInvalidArgument, "A prefix to list must end in '/'.");
  const std::string_view folder = prefix.substr(0, prefix.size() - 1);
  TRY(check_object_name(folder));
  std::vector<BucketEntry> entries;
  TRY(list_folder(std::string(folder), entries));
  std::ranges::sort(entries);
  return entries;
}

Status DirectoryBucket::erase(std::string_view name) {
  TRY(check_object_name(name));
  TRY(check_writable());
  const std::string path(name);
  {
    const std::lock_guard lock(mutex_);
    open_files_.erase(path);
  }
  if (::unlinkat(folder_.get(), path.c_str(), 0) != 0) {
    if (errno == ENOENT) return {};
    return fail(errno_error(errno, fmt::format("erase the object {}", name)));
  }
  return confirm(sync_folder(folder_.get(), parent_of(name), "sync a folder of the bucket"));
}

Status DirectoryBucket::remove_leftovers() {
  TRY(check_writable());
  const auto opened = open_file(folder_.get(), kTemporaryFolder, O_RDONLY | O_DIRECTORY, 0, "list leftovers");
  if (!opened) return {};
  const std::unique_ptr<DIR, CloseFolder> stream(::fdopendir(::fcntl(opened->get(), F_DUPFD_CLOEXEC, 0)));
  if (stream == nullptr) return fail(errno_error(errno, "list leftovers"));
  while (const dirent* const entry = ::readdir(stream.get())) {  // NOLINT(concurrency-mt-unsafe): our own stream
    if (entry->d_name[0] == '.') continue;
    ::unlinkat(opened->get(), entry->d_name, 0);
  }
  return {};
}

}  // namespace atelier::image
