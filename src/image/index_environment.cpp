#include "image/index_environment.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/text.h"
#include "image/file_io.h"

namespace atelier::image {
namespace {

constexpr unsigned kReadersMax = 1024;

constexpr std::string_view kMarkPrefix = "unsynced";

std::filesystem::path mark_file(const std::filesystem::path& folder, std::string_view owner) {
  return folder / fmt::format("{}-{}", kMarkPrefix, owner);
}

std::vector<std::filesystem::path> mark_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(kMarkPrefix) && !name.ends_with(".new")) files.push_back(entry.path());
  }
  return files;
}

// Changes with every start of the machine.
std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

// Who has which file open. An entry whose environment is gone but not yet closed makes others wait.
struct Registry {
  std::mutex mutex;
  std::condition_variable closed;
  std::map<FileIdentity, std::weak_ptr<void>> open;  // guarded by mutex
};
Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

Error lmdb_error(int code, std::string_view doing) {
  if (code > 0) return errno_error(code, doing);
  const bool damaged = code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_INVALID ||
                       code == MDB_VERSION_MISMATCH || code == MDB_INCOMPATIBLE;
  if (damaged) {
    return Error(Code::kDataLoss, fmt::format("{}: The index is damaged. Delete the store's index folder while "
                                              "nothing has the store open; it is made again from the packs.",
                                              doing));
  }
  if (code == MDB_NOTFOUND) return Error(Code::kNotFound, fmt::format("{}: not found.", doing));
  return Error(Code::kInternal, fmt::format("{}: {}.", doing, mdb_strerror(code)));
}

std::filesystem::path index_data_file(const std::filesystem::path& folder) { return folder / "data.mdb"; }

std::array<std::byte, 4> number_key(std::uint32_t number) {
  return {static_cast<std::byte>(number >> 24), static_cast<std::byte>(number >> 16),
          static_cast<std::byte>(number >> 8), static_cast<std::byte>(number)};
}

std::uint32_t number_of(std::span<const std::byte> key) {
  std::uint32_t number = 0;
  for (const std::byte b : key) number = number << 8 | std::to_integer<std::uint32_t>(b);
  return number;
}

Status mark_unsynced(const std::filesystem::path& folder, std::string_view owner) {
  return replace_file(mark_file(folder, owner), boot_id() + "\n");
}

Status unmark_unsynced(const std::filesystem::path& folder, std::string_view owner) {
  if (::unlink(mark_file(folder, owner).c_str()) != 0 && errno != ENOENT) {
    return fail(errno_error(errno, "unmark the index"));
  }
  return {};
}

Status unmark_all(const std::filesystem::path& folder) {
  for (const std::filesystem::path& file : mark_files(folder)) {
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) return fail(errno_error(errno, "unmark the index"));
  }
  return {};
}

bool are_unsynced_marks_harmless(const std::filesystem::path& folder) {
  const std::string boot = boot_id();
  return std::ranges::all_of(mark_files(folder), [&](const std::filesystem::path& file) {
    std::ifstream stream(file);
    std::string marked;
    // Gone in the meantime: its process has synced.
    if (!stream) return true;
    std::getline(stream, marked);
    return !marked.empty() && marked == boot;
  });
}

Result<FileIdentity> identity_of(const std::filesystem::path& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return fail(errno_error(errno, "look at the index"));
  return FileIdentity{status.st_dev, status.st_ino};
}

Result<std::shared_ptr<Index::Environment>> Index::Environment::open(const std::filesystem::path& folder,
                                                                     std::uint64_t map_bytes) {
  constexpr std::string_view kDoing = "open the index";
  Registry& all = registry();
  std::unique_lock lock(all.mutex);
  const FileIdentity identity = TRY(identity_of(index_data_file(folder)));
  for (auto found = all.open.find(identity); found != all.open.end(); found = all.open.find(identity)) {
    if (auto alive = std::static_pointer_cast<Environment>(found->second.lock())) return alive;
    all.closed.wait(lock);
  }
  std::unique_ptr<Environment> environment(new Environment);
  environment->identity = identity;
  int code = mdb_env_create(&environment->env);
  if (code == 0) code = mdb_env_set_maxdbs(environment->env, 8);
  if (code == 0) code = mdb_env_set_maxreaders(environment->env, kReadersMax);
  if (code == 0) code = mdb_env_set_mapsize(environment->env, map_bytes);
  // Looked up from many threads: a reader's slot belongs to its transaction, not to its thread.
  if (code == 0) code = mdb_env_open(environment->env, folder.c_str(), MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD, 0644);
  if (code != 0) return fail(lmdb_error(code, kDoing));
  mdb_reader_check(environment->env, nullptr);  // frees the slots of readers that were killed
  TRY(environment->open_databases());
  const auto close = [identity](Environment* closing) {
    Registry& registered = registry();
    {
      const std::lock_guard closing_lock(registered.mutex);
      delete closing;
      registered.open.erase(identity);
    }
    registered.closed.notify_all();
  };
  // Released only once nothing can throw in between.
  std::shared_ptr<Environment> shared(environment.release(), close);
  all.open[identity] = shared;
  return shared;
}

Index::Environment::Environment() : mark_owner(new_uuid()) {}

Index::Environment::~Environment() {
  if (env != nullptr) mdb_env_close(env);
}

Status Index::Environment::open_databases() {
  constexpr std::string_view kDoing = "open the index's tables";
  MDB_txn* transaction = nullptr;
  int code = mdb_txn_begin(env, nullptr, MDB_RDONLY, &transaction);
  if (code != 0) return fail(lmdb_error(code, kDoing));
  const auto open_table = [&](const char* name, MDB_dbi& table) {
    if (code == 0) code = mdb_dbi_open(transaction, name, 0, &table);
  };
  open_table(nullptr, tables);
  open_table("chunks", chunks);
  open_table("packs", packs);
  open_table("numbers", numbers);
  open_table("whole", whole);
  open_table("settings", settings);
  if (code != 0) {
    mdb_txn_abort(transaction);
    return fail(lmdb_error(code, kDoing));
  }
  code = mdb_txn_commit(transaction);  // keeps the handles
  if (code != 0) return fail(lmdb_error(code, kDoing));
  return {};
}

Result<MDB_txn*> Index::Environment::begin(unsigned flags, std::shared_lock<std::shared_mutex>& resize_lock) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    resize_lock = std::shared_lock(resize);
    MDB_txn* transaction = nullptr;
    int code = mdb_txn_begin(env, nullptr, flags, &transaction);
    if (code == 0) return transaction;
    resize_lock.unlock();
    if (code != MDB_MAP_RESIZED) return fail(lmdb_error(code, "read the index"));
    const std::unique_lock alone(resize);
    code = mdb_env_set_mapsize(env, 0);
    if (code != 0) return fail(lmdb_error(code, "follow the index's growth"));
  }
  return fail(Code::kUnavailable, "The index grows faster than it can be followed. Try again.");
}

Status Index::Environment::grow() {
  const std::unique_lock alone(resize);
  MDB_envinfo info{};
  mdb_env_info(env, &info);
  const int code = mdb_env_set_mapsize(env, info.me_mapsize * 2);
  if (code != 0) return fail(lmdb_error(code, "grow the index"));
  return {};
}

}  // namespace atelier::image
