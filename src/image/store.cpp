#include "image/store.h"

#include <fmt/format.h>

#include <set>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "image/directory_bucket.h"
#include "image/file_lock.h"
#include "image/geometry.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

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

// Adds the packs that the index does not know. A pack that cannot be read is logged and left out: verify names it.
Status add_unknown_packs(Bucket& bucket, Index& index, const std::vector<BucketEntry>& listed) {
  const auto indexed = TRY(index.packs());
  const std::set<Digest> known(indexed.begin(), indexed.end());
  for (const BucketEntry& entry : listed) {
    const auto pack = parse_pack_name(entry.name);
    if (!pack || known.contains(*pack)) continue;
    const auto entries = read_pack_entries(bucket, *pack);
    if (!entries) {
      log::warning("store: {} is left out of the index: {}", entry.name, entries.error().message());
      continue;
    }
    TRY(index.add_pack(*pack, *entries));
  }
  return {};
}

// Does the index name a pack that is not there?
Result<bool> names_lost_packs(Index& index, const std::vector<BucketEntry>& listed) {
  std::set<Digest> present;
  for (const BucketEntry& entry : listed) {
    if (const auto pack = parse_pack_name(entry.name)) present.insert(*pack);
  }
  for (const Digest& pack : TRY(index.packs())) {
    if (!present.contains(pack)) return true;
  }
  return false;
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
  if (options.pack_bytes_max == 0 || options.pack_bytes_max > kPackBytesMax || options.index_map_bytes < (1u << 16)) {
    return fail(Code::kInvalidArgument, "The store's options are out of their bounds.");
  }
  std::unique_ptr<Store> store(new Store(std::move(bucket), files, access, options));
  TRY_DURING(store->read_format(), "open the store");
  if (access == Access::kReadWrite) {
    store->lock_ = TRY_DURING(FileLock::acquire(files.lock_file, options.lock_wait), "open the store");
    TRY_DURING(store->bucket_->remove_leftovers(), "open the store");
    TRY_DURING(store->recover_index(), "open the store");
  } else {
    TRY_DURING(store->open_index_to_read(), "open the store");
  }
  return store;
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

// Opens the index and brings it up to date with the packs. Under the write lock.
Status Store::recover_index() {
  const Index::Options options{.store_id = id_, .map_bytes = options_.index_map_bytes};
  const auto listed = TRY(bucket_->list(kPackPrefix));
  if (Index::is_trusted(files_.index_folder)) {
    auto opened = Index::open(files_.index_folder, options);
    if (opened) {
      const auto lost_packs = names_lost_packs(**opened, listed);
      if (lost_packs && !*lost_packs) index_ = std::move(*opened);
      if (lost_packs && *lost_packs) log::error("store: packs are missing; run verify to learn which images they held");
    } else if (opened.error().code() != Code::kNotFound) {
      return fail(opened.error());
    }
  }
  if (index_ == nullptr) {
    if (!listed.empty()) log::info("store: the index is made anew from {} packs", listed.size());
    index_ = TRY(Index::create(files_.index_folder, options));
  }
  TRY(add_unknown_packs(*bucket_, *index_, listed));
  return index_->checkpoint();
}

// A reader takes the index as it is. Where there is none to be trusted it makes one if nobody writes; else the writer
// is just making it.
Status Store::open_index_to_read() {
  const Index::Options options{.store_id = id_, .map_bytes = options_.index_map_bytes};
  const auto deadline = std::chrono::steady_clock::now() + options_.lock_wait;
  for (;;) {
    if (Index::is_trusted(files_.index_folder)) {
      auto opened = Index::open(files_.index_folder, options);
      if (opened) {
        index_ = std::move(*opened);
        return {};
      }
    }
    const auto lock = FileLock::acquire(files_.lock_file, std::chrono::milliseconds(0));
    if (lock) return recover_index();
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
  std::unique_ptr<FileLock> lock;
  if (access_ == Access::kReadOnly) {
    auto acquired = FileLock::acquire(files_.lock_file, std::chrono::milliseconds(0));
    if (!acquired) return {};
    lock = std::move(*acquired);
  }
  const auto listed = TRY(bucket_->list(kPackPrefix));
  return add_unknown_packs(*bucket_, *index_, listed);
}

Result<ChunkLocation> Store::locate(const Digest& id) {
  auto location = TRY(index_->find(id));
  if (!location) {
    TRY(refresh_index());
    location = TRY(index_->find(id));
  }
  if (!location) return fail(lost(id, "no pack has it"));
  return *location;
}

Result<std::vector<std::byte>> Store::fetch(const Digest& id, const ChunkLocation& location) {
  const std::string name = pack_name(location.pack);
  std::vector<std::byte> stored(location.stored_bytes);
  const auto count = bucket_->get(name, location.offset, stored);
  if (!count && count.error().code() == Code::kNotFound) return fail(lost(id, fmt::format("{} is gone", name)));
  if (!count) return fail(count.error());
  if (*count != stored.size()) return fail(lost(id, fmt::format("{} is cut short", name)));
  return stored;
}

Result<std::vector<std::byte>> Store::read_chunk(const Digest& id) {
  const ChunkLocation location = TRY(locate(id));
  const auto stored = TRY(fetch(id, location));
  auto plain = decode_chunk(id, location.codec, location.plain_bytes, stored);
  if (!plain) return fail(lost(id, fmt::format("{} is damaged", pack_name(location.pack))));
  return plain;
}

Result<StoredChunk> Store::read_stored_chunk(const Digest& id) {
  const ChunkLocation location = TRY(locate(id));
  return StoredChunk { id, location.codec, location.plain_bytes, TRY(fetch(id, location)) };
}

Result<bool> Store::has_chunk(const Digest& id) {
  return TRY(index_->find(id))
  .has_value();
}

Result<bool> Store::has_whole_segment(const Digest& segment) {
  if (segment.is_zero()) return true;
  if (!TRY(has_chunk(segment))) return false;
  const auto encoded = read_chunk(segment);
  if (!encoded && encoded.error().code() == Code::kDataLoss) return false;
  if (!encoded) return fail(encoded.error());
  const Segment decoded = TRY(decode_segment(*encoded));
  std::vector<Digest> ids;
  for (const SegmentEntry& entry : decoded.entries) {
    if (!entry.is_hole()) ids.push_back(entry.chunk);
  }
  std::vector<bool> found;
  TRY(index_->find_all(ids, found));
  return std::ranges::find(found, false) == found.end();
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

}  // namespace atelier::image
