#include "image/quarantine.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "image/geometry.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

constexpr int kAttemptsMax = 50;

std::unexpected<Error> too_many_sweeps() {
  return fail(Code::kUnavailable, "The store is swept faster than it can be followed. Try again.");
}

// Adds a pack of the trash to the index again, after the trash gave it back. Under the commit lock.
Status give_back(Store& store, const Digest& pack, std::span<const PackEntry> entries,
                 Index::AddOptions::Known known = Index::AddOptions::Known::kStays) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const auto trash = TRY(follow_sweeps(store));
    for (const TrashEpoch* const epoch : trash->holders(pack)) {
      TRY(keep_pack(store.bucket(), epoch->number, pack));
    }
    const Status added = store.index().add_pack(pack, entries, {.generation = trash->generation, .known = known});
    if (added || added.error().code() != Code::kConflict) {
      store.remember_trash(nullptr);
      return added;
    }
  }
  return too_many_sweeps();
}

}  // namespace

// The trash is listed before the index is asked. So an index that is ahead followed a sweep that this trash may not
// show: it is read again. When it is still behind, its last record is lost, and there is nothing to wait for.
Result<std::shared_ptr<const Trash>> follow_sweeps(Store& store) {
  std::optional<std::uint64_t> seen;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    auto trash = std::make_shared<Trash>(TRY(read_trash(store.bucket())));
    const std::uint64_t followed = TRY(store.index().generation());
    const bool ahead = followed > trash->generation;
    if (followed == trash->generation || (ahead && seen == followed)) {
      trash->generation = followed;
      store.remember_trash(trash);
      return std::shared_ptr<const Trash>(std::move(trash));
    }
    if (ahead) {
      seen = followed;
      continue;
    }
    std::vector<RemovedPack> removed;
    for (const TrashEpoch& epoch : trash->epochs) {
      for (const Digest& pack : epoch.packs) {
        if (epoch.number <= followed || !epoch.holds(pack)) continue;
        auto entries = read_pack_entries(store.bucket(), pack);
        removed.push_back({pack, entries ? std::optional(std::move(*entries)) : std::nullopt});
      }
    }
    TRY(store.index().follow_sweep(trash->generation, removed));
  }
  return too_many_sweeps();
}

// The trash is read before the packs are listed: a pack that is purged in between is one of the trash then.
Status index_unknown_packs(Store& store) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const auto trash = TRY(follow_sweeps(store));
    const auto listed = TRY(store.bucket().list(kPackPrefix));
    const auto indexed = TRY(store.index().packs());
    const std::set<Digest> known(indexed.begin(), indexed.end());
    bool swept = false;
    for (const BucketEntry& entry : listed) {
      const auto pack = parse_pack_name(entry.name);
      if (!pack || known.contains(*pack) || trash->holds(*pack)) continue;
      const auto entries = read_pack_entries(store.bucket(), *pack);
      if (!entries) {
        log::warning("store: {} is left out of the index: {}", entry.name, entries.error().message());
        continue;
      }
      const Status added = store.index().add_pack(*pack, *entries, {.generation = trash->generation});
      if (!added && added.error().code() != Code::kConflict) return added;
      swept = !added;
      if (swept) break;
    }
    if (!swept) return {};
  }
  return too_many_sweeps();
}

namespace {

// Indexes a pack that has just been put. One that was in the trash is in use again then. kNotFound when a purge has
// just taken the file: put it again.
Status adopt_pack(Store& store, const Digest& pack, std::span<const PackEntry> entries,
                  Index::AddOptions::Known known) {
  const auto lock = TRY(store.lock_commits(FileLock::Kind::kShared));
  TRY(store.bucket().size(pack_name(pack)));
  return give_back(store, pack, entries, known);
}

// A file of the pack's name is there. Is it the pack?
Result<bool> is_the_pack(Bucket& bucket, const std::string& name, std::span<const std::byte> bytes) {
  const auto there = get_all(bucket, name, 2 * kPackBytesMax);
  if (!there && there.error().code() == Code::kTooLarge) return false;
  if (!there) return fail(there.error());
  return std::ranges::equal(*there, bytes);
}

// Chunks and packs never change. So a name that is taken by a damaged file stays so, and a chunk of random bytes more
// gives the pack another.
void add_salt(PackBuilder& builder) {
  const std::string salt = random_bytes(16);
  const auto bytes = std::as_bytes(std::span(salt));
  builder.add(sha256(bytes), Codec::kRaw, static_cast<std::uint32_t>(bytes.size()), bytes);
}

}  // namespace

Result<Digest> store_pack(Store& store, PackBuilder& builder, Index::AddOptions::Known known) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const Digest pack = builder.seal();
    const std::string name = pack_name(pack);
    Status stored = store.bucket().put(name, builder.bytes());
    if (!stored && stored.error().code() == Code::kAlreadyExists) {
      // Most often an earlier attempt at the same image got so far.
      const auto same = is_the_pack(store.bucket(), name, builder.bytes());
      stored = same ? Status{} : fail(same.error());
      if (same && !*same) {
        log::error("store: {} is damaged; what it should hold is stored again", name);
        builder.unseal();
        add_salt(builder);
        continue;
      }
    }
    if (stored) stored = adopt_pack(store, pack, builder.entries(), known);
    if (stored) return pack;
    // A purge may take a pack that was in the trash just before it is in use again.
    if (stored.error().code() != Code::kNotFound) return fail(stored.error());
    builder.unseal();
  }
  return too_many_sweeps();
}

Result<std::optional<ChunkLocation>> find_in_trash(Store& store, const Digest& id) {
  const Trash trash = TRY(read_trash(store.bucket()));
  for (const TrashEpoch& epoch : trash.epochs) {
    for (const Digest& pack : epoch.packs) {
      if (!epoch.holds(pack)) continue;
      const auto entries = read_pack_entries(store.bucket(), pack);
      if (!entries) continue;
      const auto entry = std::ranges::find(*entries, id, &PackEntry::id);
      if (entry == entries->end()) continue;
      return ChunkLocation{.pack = pack,
                           .offset = entry->offset,
                           .stored_bytes = entry->stored_bytes,
                           .plain_bytes = entry->plain_bytes,
                           .codec = entry->codec};
    }
  }
  return std::nullopt;
}

Status bring_back(Store& store, DigestSet& missing, CommitLock lock) {
  if (missing.empty()) return {};
  std::unique_ptr<FileLock> held;
  if (lock == CommitLock::kTake) held = TRY(store.lock_commits(FileLock::Kind::kShared));
  if (lock == CommitLock::kTakeOrFail) {
    held = TRY(store.lock_commits(FileLock::Kind::kShared, std::chrono::milliseconds(0)));
  }
  const auto trash = TRY(follow_sweeps(store));
  for (const TrashEpoch& epoch : trash->epochs) {
    for (const Digest& pack : epoch.packs) {
      if (missing.empty()) return {};
      if (!epoch.holds(pack)) continue;
      const auto entries = read_pack_entries(store.bucket(), pack);
      if (!entries) continue;
      const auto is_missing = [&](const PackEntry& entry) { return missing.contains(entry.id); };
      if (std::ranges::none_of(*entries, is_missing)) continue;
      TRY(give_back(store, pack, *entries));
      log::info("store: {} is brought back from the trash", pack_name(pack));
      for (const PackEntry& entry : *entries) missing.erase(entry.id);
    }
  }
  return {};
}

Result<std::vector<Digest>> retire_packs(Store& store, const std::function<Result<std::vector<Digest>>()>& choose) {
  const auto lock = TRY(store.lock_commits(FileLock::Kind::kExclusive));
  const auto trash = TRY(follow_sweeps(store));
  std::vector<Digest> packs = TRY(choose());
  if (packs.empty()) return packs;
  CHECK(packs.size() <= kEpochPacksMax);
  TRY(put_epoch(store.bucket(), trash->generation + 1, packs));
  TRY(follow_sweeps(store));
  return packs;
}

namespace {

// Adds to `missing` those of `ids` that the index does not have.
Status add_missing(Store& store, std::span<const Digest> ids, DigestSet& missing) {
  std::vector<bool> found;
  TRY(store.index().find_all(ids, found));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!found[i]) missing.insert(ids[i]);
  }
  return {};
}

// A node is read at once, so it is brought back alone.
Status require_node(Store& store, const Digest& id) {
  DigestSet missing;
  TRY(add_missing(store, {&id, 1}, missing));
  return bring_back(store, missing, CommitLock::kHeld);
}

}  // namespace

Status require_whole_tree(Store& store, const Digest& root) {
  TRY(require_node(store, root));
  const Root tree = TRY(read_root(store, root));
  DigestSet missing;
  DigestSet seen;
  std::vector<Digest> ids;
  for (std::size_t i = 0; i < tree.segments.size(); ++i) {
    const Digest& id = tree.segments[i];
    if (id.is_zero() || !seen.insert(id).second) continue;
    TRY(require_node(store, id));
    const Segment segment = TRY(read_segment(store, id, segment_bytes(tree.disk_bytes, i)));
    ids.clear();
    for (const SegmentEntry& entry : segment.entries) {
      if (!entry.is_hole()) ids.push_back(entry.chunk);
    }
    TRY(add_missing(store, ids, missing));
  }
  TRY(bring_back(store, missing, CommitLock::kHeld));
  if (missing.empty()) return {};
  return fail(Code::kDataLoss, fmt::format("{} chunks of the image are not in the store any more; one of them is {}. "
                                           "Write the image again.",
                                           missing.size(), missing.begin()->hex()));
}

}  // namespace atelier::image
