#include "image/store.h"

#include <fmt/format.h>

#include <set>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "image/directory_bucket.h"
#include "image/geometry.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/quarantine.h"
#include "image/trash.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

constexpr int kLooksForAChunk = 3;
constexpr std::string_view kFormatName = "format.json";
constexpr std::uint64_t kFormatVersion = 1;
constexpr std::string_view kCutting = "file-tail-1";

StoreFiles directory_files(const std::filesystem::path& folder) {
  return {.index_folder = folder / "index", .lock_file = folder / "lock"};
}

std::string format_text(const std::string& id) {
  const json::object format{{"format", kFormatVersion},      {"storeId", id},
                            {"cutting", kCutting},           {"chunkId", "sha256"},
                            {"grainBytes", kGrainBytes},     {"segmentBytes", kSegmentBytes},
                            {"createdAt", to_rfc3339(now())}};
  return to_text(format) + "\n";
}

Error lost(const Digest& id, std::string_view where) {
  return Error(Code::kDataLoss, fmt::format("The store has lost chunk {}: {}. Verify the store, and bring the image "
                                            "here again from another region.",
                                            id.hex(), where));
}

// Does the index name a pack that is not there?
Result<bool> names_lost_packs(Bucket& bucket, Index& index) {
  std::set<Digest> present;
  for (const BucketEntry& entry : TRY(bucket.list(kPackPrefix))) {
    if (const auto pack = parse_pack_name(entry.name)) present.insert(*pack);
  }
  for (const Digest& pack : TRY(index.packs())) {
    if (!present.contains(pack)) return true;
  }
  return false;
}

std::filesystem::path beside(const std::filesystem::path& file, const char* suffix) {
  std::filesystem::path path = file;
  path += suffix;
  return path;
}

Status check_options(const StoreOptions& options) {
  if (options.pack_bytes_max == 0 || options.pack_bytes_max > kPackBytesMax || options.index_map_bytes < (1u << 16)) {
    return fail(Code::kInvalidArgument, "The store's options are out of their bounds.");
  }
  return {};
}

}  // namespace

Store::Store(std::unique_ptr<Bucket> bucket, StoreFiles files, Access access, const StoreOptions& options)
    : bucket_(std::move(bucket)), files_(std::move(files)), access_(access), options_(options) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::create(std::unique_ptr<Bucket> bucket, const StoreFiles& files,
                                             const StoreOptions& options) {
  const auto existing = bucket->size(kFormatName);
  if (existing) return fail(Code::kAlreadyExists, "There is a store already.");
  if (existing.error().code() != Code::kNotFound) return fail(existing.error().during("create the store"));
  const std::string text = format_text(new_uuid());
  const Status made = bucket->put(kFormatName, std::as_bytes(std::span(text)));
  if (!made) return fail(made.error().during("create the store"));
  return open(std::move(bucket), files, Access::kReadWrite, options);
}

Result<std::unique_ptr<Store>> Store::open(std::unique_ptr<Bucket> bucket, const StoreFiles& files, Access access,
                                           const StoreOptions& options) {
  TRY(check_options(options));
  std::unique_ptr<Store> store(new Store(std::move(bucket), files, access, options));
  TRY_DURING(store->read_format(), "open the store");
  TRY_DURING(access == Access::kReadWrite ? store->open_to_write() : store->open_index_to_read(), "open the store");
  return store;
}

Result<std::uint64_t> Store::rebuild_index(std::unique_ptr<Bucket> bucket, const StoreFiles& files,
                                           const StoreOptions& options) {
  TRY(check_options(options));
  const std::unique_ptr<Store> store(new Store(std::move(bucket), files, Access::kReadOnly, options));
  TRY(store->read_format());
  const auto lock = FileLock::acquire(files.lock_file, FileLock::Kind::kExclusive, options.lock_wait);
  if (!lock && lock.error().code() == Code::kConflict) {
    return fail(Code::kConflict, "The store is open for writing. Stop that, then make the index again.");
  }
  if (!lock) return fail(lock.error());
  TRY(store->recover_index(Rebuild::kAlways));
  const auto packs = TRY(store->index_->packs());
  return std::uint64_t{packs.size()};
}

Status Store::read_format() {
  const auto bytes = get_all(*bucket_, kFormatName, 1 << 16);
  if (!bytes && bytes.error().code() == Code::kNotFound) return fail(Code::kNotFound, "There is no store.");
  if (!bytes) return fail(bytes.error());
  const auto parsed = parse_json_object({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (!parsed) return fail(Code::kDataLoss, "The store's format.json is damaged.");
  const std::uint64_t version = uint_at(*parsed, "format");
  if (version != kFormatVersion || string_at(*parsed, "cutting") != kCutting) {
    return fail(Code::kUnsupported,
                fmt::format("The store has format {}; this program knows format {}.", version, kFormatVersion));
  }
  id_ = string_at(*parsed, "storeId");
  if (id_.empty()) return fail(Code::kDataLoss, "The store's format.json is damaged.");
  return {};
}

// Who is alone does what must be done alone. Everybody else finds a store that somebody has opened so.
Status Store::open_to_write() {
  auto alone = FileLock::acquire(files_.lock_file, FileLock::Kind::kExclusive, std::chrono::milliseconds(0));
  if (alone) {
    lock_ = std::move(*alone);
    TRY(bucket_->remove_leftovers());
    TRY(recover_index(Rebuild::kIfNeeded));
    TRY(lock_->share());
    // For a moment the lock was nobody's.
    TRY(index_->reopen_if_replaced());
    return {};
  }
  if (alone.error().code() != Code::kConflict) return fail(alone.error());
  lock_ = TRY(FileLock::acquire(files_.lock_file, FileLock::Kind::kShared, options_.lock_wait));
  TRY(open_index());
  TRY(index_unknown_packs(*this));
  return index_->checkpoint();
}

// Opens the index, or makes it again, and brings it up to date with the packs. Under the write lock, exclusive.
Status Store::recover_index(Rebuild rebuild) {
  const Index::Options options{.store_id = id_, .map_bytes = options_.index_map_bytes};
  if (rebuild == Rebuild::kIfNeeded && Index::is_trusted(files_.index_folder)) {
    const Status opened = open_index();
    if (!opened && opened.error().code() != Code::kNotFound) return opened;
    if (opened) {
      TRY(follow_sweeps(*this));
      if (TRY(names_lost_packs(*bucket_, *index_))) {
        log::error("store: packs are missing; run verify to learn which images they held");
        index_.reset();
      }
    }
  }
  if (index_ == nullptr) {
    const auto listed = TRY(bucket_->list(kPackPrefix));
    if (!listed.empty()) log::info("store: the index is made anew from {} packs", listed.size());
    index_ = TRY(Index::create(files_.index_folder, options));
  }
  TRY(index_unknown_packs(*this));
  return index_->checkpoint_alone();
}

// kNotFound when there is no index that can be used.
Status Store::open_index() {
  index_ = TRY(Index::open(files_.index_folder, {.store_id = id_, .map_bytes = options_.index_map_bytes}));
  return {};
}

// A reader takes the index as it is. Where there is none to be trusted it makes one if nobody writes; else the writer
// is just making it.
Status Store::open_index_to_read() {
  const auto deadline = std::chrono::steady_clock::now() + options_.lock_wait;
  for (;;) {
    if (Index::is_trusted(files_.index_folder) && open_index()) return {};
    const auto lock = FileLock::acquire(files_.lock_file, FileLock::Kind::kExclusive, std::chrono::milliseconds(0));
    if (lock) return recover_index(Rebuild::kIfNeeded);
    if (lock.error().code() != Code::kConflict) return fail(lock.error());
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(Code::kUnavailable, "The store's index is being made. Try again.");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

// After a chunk was not found: the index may have been replaced, or lag behind the packs because a writer died.
Status Store::refresh_index() {
  TRY(index_->reopen_if_replaced());
  if (access_ == Access::kReadWrite) return index_unknown_packs(*this);
  const auto lock = FileLock::acquire(files_.lock_file, FileLock::Kind::kShared, std::chrono::milliseconds(0));
  if (!lock) return {};
  TRY(index_unknown_packs(*this));
  return index_->checkpoint();
}

Result<std::unique_ptr<FileLock>> Store::lock_commits(FileLock::Kind kind, std::chrono::milliseconds wait) const {
  return FileLock::acquire(beside(files_.lock_file, ".commit"), kind, wait);
}

Result<std::unique_ptr<FileLock>> Store::lock_care() const {
  auto lock = FileLock::acquire(beside(files_.lock_file, ".care"), FileLock::Kind::kExclusive, {});
  if (!lock && lock.error().code() == Code::kConflict) {
    return fail(Code::kConflict, "The store is being swept or healed already. Let that end, then try again.");
  }
  return lock;
}

std::shared_ptr<const Trash> Store::known_trash() const {
  const std::lock_guard lock(mutex_);
  return trash_;
}

void Store::remember_trash(std::shared_ptr<const Trash> trash) {
  const std::lock_guard lock(mutex_);
  trash_ = std::move(trash);
}

// A sweep or a writer may carry the chunk's pack between the index and the trash while it is looked for in one and then
// the other: so it is looked for more than once.
Result<ChunkLocation> Store::locate(const Digest& id) {
  if (const auto location = TRY(index_->find(id))) return *location;
  for (int attempt = 0; attempt < kLooksForAChunk; ++attempt) {
    TRY(refresh_index());
    if (const auto location = TRY(index_->find(id))) return *location;
    if (const auto location = TRY(find_in_trash(*this, id))) {
      sound_alarm(id, *location);
      return *location;
    }
  }
  return fail(lost(id, "no pack has it"));
}

// A read needs what a sweep threw away: that must not be. It is kept from being purged, and brought back.
void Store::sound_alarm(const Digest& id, const ChunkLocation& location) {
  log::error("store: ALARM: chunk {} was read from {}, which is in the trash", id.hex(), pack_name(location.pack));
  if (access_ == Access::kReadOnly) return;
  const auto trash = read_trash(*bucket_);
  if (!trash) log::error("store: {}", trash.error().message());
  if (!trash) return;
  for (const TrashEpoch* const epoch : trash->holders(location.pack)) {
    const Status raised = raise_alarm(*bucket_, epoch->number);
    if (!raised) log::error("store: {}", raised.error().message());
  }
  DigestSet wanted{id};
  const Status brought = bring_back(*this, wanted, CommitLock::kTakeOrFail);
  if (!brought) log::error("store: {} is not brought back: {}", pack_name(location.pack), brought.error().message());
}

// When the pack is gone that `location` names, a sweep may have moved the chunk: then another is tried once.
Result<std::vector<std::byte>> Store::fetch(const Digest& id, ChunkLocation& location) {
  for (int attempt = 0;; ++attempt) {
    const std::string name = pack_name(location.pack);
    std::vector<std::byte> stored(location.stored_bytes);
    const auto count = bucket_->get(name, location.offset, stored);
    if (!count && count.error().code() == Code::kNotFound && attempt == 0) {
      TRY(index_->reopen_if_replaced());
      const auto moved = TRY(index_->find(id));
      if (moved && moved->pack != location.pack) {
        location = *moved;
        continue;
      }
    }
    if (!count && count.error().code() == Code::kNotFound) return fail(lost(id, fmt::format("{} is gone", name)));
    if (!count) return fail(count.error());
    if (*count != stored.size()) return fail(lost(id, fmt::format("{} is cut short", name)));
    return stored;
  }
}

Result<std::vector<std::byte>> Store::read_chunk(const Digest& id) {
  ChunkLocation location = TRY(locate(id));
  const auto stored = TRY(fetch(id, location));
  auto plain = decode_chunk(id, location.codec, location.plain_bytes, stored);
  if (!plain) return fail(lost(id, fmt::format("{} is damaged", pack_name(location.pack))));
  return plain;
}

Result<StoredChunk> Store::read_stored_chunk(const Digest& id) {
  ChunkLocation location = TRY(locate(id));
  std::vector<std::byte> stored = TRY(fetch(id, location));
  return StoredChunk{id, location.codec, location.plain_bytes, std::move(stored)};
}

Result<bool> Store::has_chunk(const Digest& id) {
  return TRY(index_->find(id))
  .has_value();
}

Result<bool> Store::has_whole_segment(const Digest& segment) {
  if (segment.is_zero()) return true;
  return TRY(find_whole_segment(segment))
  .has_value();
}

Result<std::optional<WholeSegment>> Store::find_whole_segment(const Digest& segment) {
  if (auto remembered = TRY(index_->find_whole(segment)); remembered) return remembered;
  if (!TRY(has_chunk(segment))) return std::nullopt;
  const auto encoded = read_chunk(segment);
  if (!encoded && encoded.error().code() == Code::kDataLoss) return std::nullopt;
  if (!encoded) return fail(encoded.error());
  const Segment decoded = TRY(decode_segment(*encoded));
  std::vector<Digest> ids;
  for (const SegmentEntry& entry : decoded.entries) {
    if (!entry.is_hole()) ids.push_back(entry.chunk);
  }
  std::vector<bool> found;
  TRY(index_->find_all(ids, found));
  if (std::ranges::find(found, false) != found.end()) return std::nullopt;
  return WholeSegment{segment, static_cast<std::uint32_t>(decoded.bytes()),
                      static_cast<std::uint32_t>(decoded.data_bytes())};
}

Result<std::unique_ptr<Store>> create_directory_store(const std::filesystem::path& folder,
                                                      const StoreOptions& options) {
  auto bucket = TRY_DURING(DirectoryBucket::open(folder, Access::kReadWrite), "create the store");
  return Store::create(std::move(bucket), directory_files(folder), options);
}

Result<std::unique_ptr<Store>> open_directory_store(const std::filesystem::path& folder, Access access,
                                                    const StoreOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) return fail(Code::kNotFound, "open the store: There is no store.");
  auto bucket = TRY_DURING(DirectoryBucket::open(folder, access), "open the store");
  return Store::open(std::move(bucket), directory_files(folder), access, options);
}

Result<std::uint64_t> rebuild_directory_index(const std::filesystem::path& folder, const StoreOptions& options) {
  constexpr std::string_view kDoing = "make the index again";
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) return fail(Code::kNotFound, "There is no store.");
  auto bucket = TRY_DURING(DirectoryBucket::open(folder, Access::kReadOnly), kDoing);
  return TRY_DURING(Store::rebuild_index(std::move(bucket), directory_files(folder), options), kDoing);
}

}  // namespace atelier::image
