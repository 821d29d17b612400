#include "atelierd/data_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>

namespace atelier::atelierd {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRunPathBytesMax = 70;  // leaves room for names of sockets within the 107 bytes of an address

// QEMU runs as a user of its own: it must be able to pass through, and to list nothing.
constexpr fs::perms kTraversable = fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec;

Status make_folder(const fs::path& folder, fs::perms permissions) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return fail(Code::kFailedPrecondition, fmt::format("Cannot make {}: {}.", folder.string(), error.message()));
  fs::permissions(folder, permissions, error);
  if (error)
    return fail(Code::kFailedPrecondition, fmt::format("Cannot set {}: {}.", folder.string(), error.message()));
  return {};
}

Status check_traversable(const fs::path& folder) {
  fs::path part;
  for (const fs::path& name : folder) {
    part /= name;
    std::error_code error;
    const fs::perms permissions = fs::status(part, error).permissions();
    if (error || (permissions & fs::perms::others_exec) == fs::perms::none) {
      return fail(Code::kFailedPrecondition,
                  fmt::format("Other users may not pass through {}, so QEMU cannot reach the virtual machines' disks. "
                              "Give --data another folder, or run: chmod o+x {}",
                              part.string(), part.string()));
    }
  }
  return {};
}

Result<int> lock_folder(const fs::path& path) {
  const int lock = ::open((path / "atelierd.lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (lock < 0) return fail(errno_error(errno, fmt::format("lock {}", path.string())));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return fail(Code::kFailedPrecondition,
                fmt::format("Another atelierd runs on {}. Stop it, or give --data another folder.", path.string()));
  }
  return lock;
}

fs::path run_folder_of(const fs::path& data) {
  fs::path run = data / "run";
  if (run.string().size() <= kRunPathBytesMax) return run;
  return fs::path("/run/atelier") / fmt::format("{:016x}", std::hash<std::string>()(data.string()));
}

}  // namespace

Result<DataFolder> DataFolder::open(const fs::path& path) {
  const fs::path absolute = fs::absolute(path).lexically_normal();
  const fs::path run = run_folder_of(absolute);
  TRY(make_folder(absolute, kTraversable));
  const int lock = TRY(lock_folder(absolute));
  DataFolder folder(absolute, run, lock);
  TRY(check_traversable(absolute));
  TRY(make_folder(run, kTraversable));
  TRY(make_folder(absolute / "stores", fs::perms::owner_all));
  TRY(make_folder(absolute / "cache", fs::perms::owner_all));
  TRY(make_folder(folder.uploads(), fs::perms::owner_all));
  TRY(make_folder(folder.vms(), kTraversable));
  return folder;
}

DataFolder::DataFolder(DataFolder&& other) noexcept
    : path_(std::move(other.path_)), run_(std::move(other.run_)), lock_(std::exchange(other.lock_, -1)) {}

DataFolder::~DataFolder() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace atelier::atelierd
