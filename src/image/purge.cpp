#include "image/purge.h"

#include <algorithm>

#include "base/log.h"
#include "image/index.h"
#include "image/quarantine.h"

namespace atelier::image {
namespace {

// Commits wait while so many packs are erased.
constexpr std::size_t kErasedAtOnce = 16;

const TrashEpoch* find_epoch(const Trash& trash, std::uint64_t number) {
  const auto found = std::ranges::find(trash.epochs, number, &TrashEpoch::number);
  return found == trash.epochs.end() ? nullptr : &*found;
}

// Under the commit lock, exclusive.
Status erase_pack(Store& store, const TrashEpoch& epoch, const Digest& pack) {
  if (TRY(store.index().has_pack(pack))) {  // that must not be
    TRY(keep_pack(store.bucket(), epoch.number, pack));
    return fail(Code::kInternal, "The pack is in the trash and in the index. It is kept.");
  }
  return store.bucket().erase(pack_name(pack));
}

// Under the commit lock, exclusive. The last epoch's number is the store's generation, which must not be forgotten.
Status end_epoch(Store& store, const Trash& trash, const TrashEpoch& epoch) {
  if (epoch.number == trash.epochs.back().number) {
    if (epoch.packs.empty() && epoch.readable) return {};
    TRY(put_epoch(store.bucket(), trash.generation + 1, {}));
    TRY(follow_sweeps(store));
  }
  TRY(erase_epoch(store.bucket(), epoch));
  store.remember_trash(nullptr);
  return {};
}

Status dissolve(Store& store, const Trash& trash, const TrashEpoch& epoch) {
  log::error("sweep: a read needed packs of epoch {} of the trash; all of them come back", epoch.number);
  DigestSet chunks;
  for (const Digest& pack : epoch.packs) {
    if (!epoch.holds(pack)) continue;
    const auto entries = read_pack_entries(store.bucket(), pack);
    if (!entries && entries.error().code() == Code::kNotFound) continue;
    if (!entries) return fail(entries.error());
    for (const PackEntry& entry : *entries) chunks.insert(entry.id);
    TRY(bring_back(store, chunks, CommitLock::kHeld));
    chunks.clear();
  }
  const auto after = TRY(follow_sweeps(store));
  const TrashEpoch* const now = find_epoch(*after, epoch.number);
  return now == nullptr ? Status{} : end_epoch(store, trash, *now);
}

}  // namespace

PurgeResult would_purge(const TrashEpoch& epoch, const PackSizes& sizes) {
  PurgeResult result;
  if (epoch.alarmed) return result;
  for (const Digest& pack : epoch.packs) {
    const auto size = sizes.find(pack);
    if (!epoch.holds(pack) || size == sizes.end()) continue;
    result.packs.push_back(pack);
    result.bytes += size->second;
  }
  return result;
}

Result<PurgeResult> purge_epoch(Store& store, std::uint64_t number, const PackSizes& sizes) {
  PurgeResult result;
  for (std::size_t at = 0;; at += kErasedAtOnce) {
    const auto lock = TRY(store.lock_commits(FileLock::Kind::kExclusive));
    const auto trash = TRY(follow_sweeps(store));
    const TrashEpoch* const epoch = find_epoch(*trash, number);
    if (epoch == nullptr) return result;
    if (epoch->alarmed) {
      TRY(dissolve(store, *trash, *epoch));
      return result;
    }
    if (at >= epoch->packs.size()) {
      if (result.problems.empty()) TRY(end_epoch(store, *trash, *epoch));
      return result;
    }
    for (std::size_t i = at; i < std::min(at + kErasedAtOnce, epoch->packs.size()); ++i) {
      const Digest& pack = epoch->packs[i];
      const auto size = sizes.find(pack);
      if (!epoch->holds(pack)) continue;
      const Status erased = erase_pack(store, *epoch, pack);
      if (!erased) result.problems.push_back({pack_name(pack), erased.error().message()});
      if (!erased || size == sizes.end()) continue;
      result.packs.push_back(pack);
      result.bytes += size->second;
    }
  }
}

}  // namespace atelier::image
