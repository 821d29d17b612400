#include "image/index.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/log.h"
#include "image/file_io.h"
#include "image/index_environment.h"
#include "image/index_prefetch.h"
#include "image/wire.h"

namespace atelier::image {
namespace {

constexpr std::string_view kFormat = "1";

}  // namespace

// A snapshot; ends with its scope.
class Index::ReadTransaction {
 public:
  static Result<ReadTransaction> begin(std::shared_ptr<Environment> environment) {
    ReadTransaction self(std::move(environment));
    self.transaction_ = TRY(self.environment_->begin(MDB_RDONLY, self.resize_lock_));
    return self;
  }
  ReadTransaction(ReadTransaction&& other) noexcept
      : environment_(std::move(other.environment_)),
        resize_lock_(std::move(other.resize_lock_)),
        transaction_(std::exchange(other.transaction_, nullptr)) {}
  ReadTransaction& operator=(ReadTransaction&&) = delete;
  ~ReadTransaction() {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
  }

  MDB_txn* get() const { return transaction_; }
  Environment& environment() const { return *environment_; }

  // Before the first ids are looked up one after the other.
  void prefetch(std::span<const Digest> ids) const {
    if (ids.size() == 1) return;
    constexpr std::string_view kChunks = "chunks";
    prefetch_paths(transaction_, environment_->tables, std::as_bytes(std::span(kChunks)),
                   ids.first(std::min(ids.size(), kPrefetchIdsMax)));
  }

  Result<ChunkLocation> decode(const MDB_val& value) const {
    WireReader reader(bytes_of(value));
    const auto number = reader.number<std::uint32_t>();
    ChunkLocation location;
    location.offset = reader.number<std::uint32_t>();
    location.stored_bytes = reader.number<std::uint32_t>();
    location.plain_bytes = reader.number<std::uint32_t>();
    location.codec = static_cast<Codec>(reader.number<std::uint8_t>());
    const auto key_bytes = number_key(number);
    MDB_val key = value_of(key_bytes);
    MDB_val digest{};
    const int code = mdb_get(transaction_, environment_->packs, &key, &digest);
    if (!reader.ok() || code != 0 || digest.mv_size != location.pack.bytes.size()) {
      return fail(lmdb_error(MDB_CORRUPTED, "look a chunk up"));
    }
    std::memcpy(location.pack.bytes.data(), digest.mv_data, digest.mv_size);
    return location;
  }

 private:
  explicit ReadTransaction(std::shared_ptr<Environment> environment) : environment_(std::move(environment)) {}

  std::shared_ptr<Environment> environment_;  // goes last
  std::shared_lock<std::shared_mutex> resize_lock_;
  MDB_txn* transaction_ = nullptr;
};

bool Index::is_trusted(const std::filesystem::path& folder) {
  return are_unsynced_marks_harmless(folder) && identity_of(index_data_file(folder)).has_value();
}

Result<std::shared_ptr<Index::Environment>> Index::open_environment(const std::filesystem::path& folder,
                                                                    const Options& options) {
  auto environment = TRY(Environment::open(folder, options.map_bytes));
  const ReadTransaction transaction = TRY(ReadTransaction::begin(environment));
  const auto has = [&](std::string_view name, std::string_view expected) {
    MDB_val key = value_of(name);
    MDB_val value{};
    return mdb_get(transaction.get(), environment->settings, &key, &value) == 0 &&
           std::ranges::equal(bytes_of(value), std::as_bytes(std::span(expected)));
  };
  if (!has("format", kFormat) || !has("store", options.store_id)) {
    return fail(Code::kNotFound, "The index belongs to another store or format.");
  }
  return environment;
}

Result<std::unique_ptr<Index>> Index::open(const std::filesystem::path& folder, const Options& options) {
  auto environment = open_environment(folder, options);
  if (!environment) {
    // Whatever is wrong with it, a new one helps; only what a new one would meet as well is not for create() to solve.
    const Code code = environment.error().code();
    if (code == Code::kResourceExhausted || code == Code::kUnavailable) return fail(environment.error());
    return fail(Code::kNotFound, environment.error().message());
  }
  return std::unique_ptr<Index>(new Index(folder, options, std::move(*environment)));
}

Result<std::unique_ptr<Index>> Index::create(const std::filesystem::path& folder, const Options& options) {
  constexpr std::string_view kDoing = "make the index";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(errno_error(error.value(), kDoing));
  // Marked as long as it is written; then the mark of who opens it takes over.
  constexpr std::string_view kMaker = "maker";
  TRY(mark_unsynced(folder, kMaker));
  // Built aside and renamed: whoever opens the folder finds the old index or the new one, whole.
  const std::filesystem::path aside = folder / "new";
  std::filesystem::remove_all(aside, error);
  std::filesystem::create_directories(aside, error);
  if (error) return fail(errno_error(error.value(), kDoing));
  MDB_env* env = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi table = 0;
  int code = mdb_env_create(&env);
  if (code == 0) code = mdb_env_set_maxdbs(env, 8);
  if (code == 0) code = mdb_env_open(env, aside.c_str(), MDB_NOLOCK, 0644);
  if (code == 0) code = mdb_txn_begin(env, nullptr, 0, &transaction);
  for (const char* const name : {"chunks", "packs", "numbers", "whole", "settings"}) {
    if (code == 0) code = mdb_dbi_open(transaction, name, MDB_CREATE, &table);
  }
  const auto put = [&](std::string_view name, std::string_view text) {
    MDB_val key = value_of(name);
    MDB_val value = value_of(text);
    if (code == 0) code = mdb_put(transaction, table, &key, &value, 0);
  };
  put("format", kFormat);
  put("store", options.store_id);
  if (code == 0) {
    code = mdb_txn_commit(transaction);
  } else if (transaction != nullptr) {
    mdb_txn_abort(transaction);
  }
  if (env != nullptr) mdb_env_close(env);
  if (code != 0) return fail(lmdb_error(code, kDoing));
  // A new lock file as well: the old one holds the old readers.
  ::unlink((folder / "lock.mdb").c_str());
  if (::rename(index_data_file(aside).c_str(), index_data_file(folder).c_str()) != 0) {
    return fail(errno_error(errno, kDoing));
  }
  std::filesystem::remove_all(aside, error);
  TRY(sync_folder(AT_FDCWD, folder.string(), kDoing));
  auto environment = TRY(open_environment(folder, options));
  {
    const std::lock_guard lock(environment->mark_mutex);
    TRY(mark_unsynced(folder, environment->mark_owner));
    environment->marked = true;
  }
  TRY(unmark_unsynced(folder, kMaker));
  return std::unique_ptr<Index>(new Index(folder, options, std::move(environment)));
}

Index::Index(std::filesystem::path folder, Options options, std::shared_ptr<Environment> environment)
    : folder_(std::move(folder)), options_(std::move(options)), environment_(std::move(environment)) {}
Index::~Index() = default;

std::shared_ptr<Index::Environment> Index::environment() {
  const std::lock_guard lock(mutex_);
  return environment_;
}

Result<std::optional<ChunkLocation>> Index::find(const Digest& id) {
  const ReadTransaction transaction = TRY(ReadTransaction::begin(environment()));
  MDB_val key = value_of(id);
  MDB_val value{};
  const int code = mdb_get(transaction.get(), transaction.environment().chunks, &key, &value);
  if (code == MDB_NOTFOUND) return std::nullopt;
  if (code != 0) return fail(lmdb_error(code, "look a chunk up"));
  return TRY(transaction.decode(value));
}

Status Index::find_all(std::span<const Digest> ids, std::vector<bool>& found) {
  found.assign(ids.size(), false);
  if (ids.empty()) return {};
  const ReadTransaction transaction = TRY(ReadTransaction::begin(environment()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i % kPrefetchIdsMax == 0) transaction.prefetch(ids.subspan(i));
    MDB_val key = value_of(ids[i]);
    MDB_val value{};
    const int code = mdb_get(transaction.get(), transaction.environment().chunks, &key, &value);
    if (code != 0 && code != MDB_NOTFOUND) return fail(lmdb_error(code, "look chunks up"));
    found[i] = code == 0;
  }
  return {};
}

Status Index::locate_all(std::span<const Digest> ids, std::vector<std::optional<ChunkLocation>>& places) {
  places.assign(ids.size(), std::nullopt);
  if (ids.empty()) return {};
  const ReadTransaction transaction = TRY(ReadTransaction::begin(environment()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    MDB_val key = value_of(ids[i]);
    MDB_val value{};
    const int code = mdb_get(transaction.get(), transaction.environment().chunks, &key, &value);
    if (code == MDB_NOTFOUND) continue;
    if (code != 0) return fail(lmdb_error(code, "look chunks up"));
    places[i] = TRY(transaction.decode(value));
  }
  return {};
}

Status Index::for_each(const std::function<Status(const Digest&, const ChunkLocation&)>& visit) {
  const ReadTransaction transaction = TRY(ReadTransaction::begin(environment()));
  MDB_cursor* cursor = nullptr;
  int code = mdb_cursor_open(transaction.get(), transaction.environment().chunks, &cursor);
  if (code != 0) return fail(lmdb_error(code, "walk the index"));
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> closer(cursor, &mdb_cursor_close);
  MDB_val key{};
  MDB_val value{};
  while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    Digest id;
    if (key.mv_size != id.bytes.size()) return fail(lmdb_error(MDB_CORRUPTED, "walk the index"));
    std::memcpy(id.bytes.data(), key.mv_data, key.mv_size);
    const ChunkLocation location = TRY(transaction.decode(value));
    TRY(visit(id, location));
  }
  if (code != MDB_NOTFOUND) return fail(lmdb_error(code, "walk the index"));
  return {};
}

Result<std::vector<Digest>> Index::packs() {
  const ReadTransaction transaction = TRY(ReadTransaction::begin(environment()));
  MDB_cursor* cursor = nullptr;
  int code = mdb_cursor_open(transaction.get(), transaction.environment().numbers, &cursor);
  if (code != 0) return fail(lmdb_error(code, "list the index's packs"));
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> closer(cursor, &mdb_cursor_close);
  std::vector<Digest> all;
  MDB_val key{};
  MDB_val value{};
  while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    if (key.mv_size != sizeof(Digest::bytes)) return fail(lmdb_error(MDB_CORRUPTED, "list the index's packs"));
    std::memcpy(all.emplace_back().bytes.data(), key.mv_data, key.mv_size);
  }
  if (code != MDB_NOTFOUND) return fail(lmdb_error(code, "list the index's packs"));
  return all;
}

Status Index::checkpoint() {
  const auto current = environment();
  std::uint64_t begun = 0;
  {
    const std::lock_guard lock(current->mark_mutex);
    if (!current->marked || current->writes_running > 0) return {};  // the last one that ends will do it
    begun = current->writes_begun;
  }
  {
    const std::shared_lock resize_lock(current->resize);
    const int code = mdb_env_sync(current->env, 1);
    if (code != 0) return fail(lmdb_error(code, "sync the index"));
  }
  const std::lock_guard lock(current->mark_mutex);
  if (current->writes_begun != begun) return {};
  TRY(unmark_unsynced(folder_, current->mark_owner));
  current->marked = false;
  return {};
}

Status Index::checkpoint_alone() {
  const auto current = environment();
  {
    const std::shared_lock resize_lock(current->resize);
    const int code = mdb_env_sync(current->env, 1);
    if (code != 0) return fail(lmdb_error(code, "sync the index"));
  }
  const std::lock_guard lock(current->mark_mutex);
  TRY(unmark_all(folder_));
  current->marked = false;
  return {};
}

Result<bool> Index::reopen_if_replaced() {
  const FileIdentity there = TRY(identity_of(index_data_file(folder_)));
  if (environment()->identity == there) return false;
  auto opened = TRY(open_environment(folder_, options_));
  const std::lock_guard lock(mutex_);
  environment_ = std::move(opened);
  return true;
}

}  // namespace atelier::image
