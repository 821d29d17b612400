#include "image/heal.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/log.h"
#include "image/geometry.h"
#include "image/index.h"
#include "image/quarantine.h"
#include "image/removed_image.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

// The chunk from the first source that has it, checked.
std::optional<StoredChunk> fetch_from(std::span<Store* const> sources, const Digest& id) {
  for (Store* const source : sources) {
    auto chunk = source->read_stored_chunk(id);
    if (chunk && decode_chunk(id, chunk->codec, chunk->plain_bytes, chunk->bytes)) return std::move(*chunk);
  }
  return std::nullopt;
}

// Packs of chunks that are good, and that are looked for there from now on.
class HealedPacks {
 public:
  explicit HealedPacks(Store& store) : store_(store), builder_(store.options().pack_bytes_max) {}

  Status add(const Digest& id, Codec codec, std::uint32_t plain_bytes, std::span<const std::byte> stored) {
    if (!builder_.has_room(stored.size())) TRY(flush());
    builder_.add(id, codec, plain_bytes, stored);
    return {};
  }
  Status add(const StoredChunk& chunk) { return add(chunk.id, chunk.codec, chunk.plain_bytes, chunk.bytes); }
  Status flush() {
    if (builder_.empty()) return {};
    TRY(store_pack(store_, builder_, Index::AddOptions::Known::kMoves));
    builder_.clear();
    return {};
  }

 private:
  Store& store_;
  PackBuilder builder_;
};

class PackHealer {
 public:
  PackHealer(Store& store, std::span<Store* const> sources, TaskContext& task)
      : store_(store), sources_(sources), task_(task), packs_(store) {}

  Result<PackHealing> run(std::span<const Digest> damaged) {
    const std::set<Digest> packs(damaged.begin(), damaged.end());
    TRY(store_.index().for_each([&](const Digest& id, const ChunkLocation& location) -> Status {
      if (!packs.contains(location.pack)) return {};
      wanted_.emplace(id, location);
      by_pack_[location.pack].push_back(id);
      return {};
    }));
    for (const Digest& pack : packs) {
      TRY(task_.check());
      TRY(save_good_chunks(pack));
    }
    TRY(fetch_the_rest());
    TRY(packs_.flush());
    TRY(store_.index().checkpoint());
    std::set<Digest> unhealed;
    for (const auto& [id, location] : wanted_) unhealed.insert(location.pack);
    for (const Digest& pack : packs) {
      bool is_known = !unhealed.contains(pack) && TRY(store_.index().has_pack(pack));
      if (!unhealed.contains(pack) && read_pack_entries(store_.bucket(), pack)) is_known = true;
      (is_known ? healing_.healed : healing_.unknown).push_back(pack);
    }
    TRY(throw_away(store_, healing_.healed));
    return healing_;
  }

 private:
  Status save(const Digest& id, Codec codec, std::uint32_t plain_bytes, std::span<const std::byte> stored) {
    if (!wanted_.contains(id) || !decode_chunk(id, codec, plain_bytes, stored)) return {};
    TRY(packs_.add(id, codec, plain_bytes, stored));
    wanted_.erase(id);
    return {};
  }

  // By the file's own footer, whatever pack it is; and where the index says.
  Status save_good_chunks(const Digest& pack) {
    const auto file = get_all(store_.bucket(), pack_name(pack), 2 * kPackBytesMax);
    if (!file) return {};
    const auto entries = parse_pack(*file);
    for (const PackEntry& entry : entries.value_or(std::vector<PackEntry>{})) {
      TRY(save(entry.id, entry.codec, entry.plain_bytes, std::span(*file).subspan(entry.offset, entry.stored_bytes)));
    }
    for (const Digest& id : by_pack_[pack]) {
      const auto place = wanted_.find(id);
      if (place == wanted_.end()) continue;
      const ChunkLocation location = place->second;
      if (std::uint64_t{location.offset} + location.stored_bytes > file->size()) continue;
      TRY(save(id, location.codec, location.plain_bytes,
               std::span(*file).subspan(location.offset, location.stored_bytes)));
    }
    return {};
  }

  Status fetch_the_rest() {
    Progress progress{.phase = "Healing"};
    for (const auto& [id, location] : wanted_) progress.bytes_total += location.plain_bytes;
    for (auto place = wanted_.begin(); place != wanted_.end();) {
      TRY(task_.check());
      const auto chunk = fetch_from(sources_, place->first);
      progress.bytes_done += place->second.plain_bytes;
      task_.report(progress);
      if (!chunk) {
        ++place;
        continue;
      }
      TRY(packs_.add(*chunk));
      ++healing_.chunks_healed;
      place = wanted_.erase(place);
    }
    return {};
  }

  Store& store_;
  const std::span<Store* const> sources_;
  TaskContext& task_;
  HealedPacks packs_;
  std::unordered_map<Digest, ChunkLocation, DigestHash> wanted_;  // chunks that are not saved yet
  std::map<Digest, std::vector<Digest>> by_pack_;                 // what the index looks for in each pack
  PackHealing healing_;
};

class ImageHealer {
 public:
  ImageHealer(Store& store, std::span<Store* const> sources, TaskContext& task)
      : store_(store), sources_(sources), task_(task), packs_(store) {}

  Result<std::uint64_t> run(const Digest& root) {
    const std::vector<std::byte> root_bytes = TRY(node(root));
    const Root tree = TRY(decode_root(root_bytes));
    std::vector<Digest> ids;
    std::vector<bool> found;
    for (const Digest& id : tree.segments) {
      TRY(task_.check());
      if (id.is_zero() || !seen_.insert(id).second) continue;
      const std::vector<std::byte> segment_bytes = TRY(node(id));
      const Segment segment = TRY(decode_segment(segment_bytes));
      ids.clear();
      for (const SegmentEntry& entry : segment.entries) {
        if (!entry.is_hole()) ids.push_back(entry.chunk);
      }
      TRY(store_.index().find_all(ids, found));
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if (!found[i] && seen_.insert(ids[i]).second) TRY(fetch(ids[i]));
      }
    }
    TRY(packs_.flush());
    TRY(store_.index().checkpoint());
    if (missing_ == 0) return healed_;
    return fail(Code::kDataLoss, fmt::format("{} chunks of the image are in no store.", missing_));
  }

 private:
  Result<std::vector<std::byte>> node(const Digest& id) {
    auto bytes = store_.read_chunk(id);
    if (bytes || bytes.error().code() != Code::kDataLoss) return bytes;
    const auto chunk = fetch_from(sources_, id);
    if (!chunk) return bytes;
    TRY(packs_.add(*chunk));
    ++healed_;
    return decode_chunk(id, chunk->codec, chunk->plain_bytes, chunk->bytes);
  }

  // The store may have it all the same, in a pack that is not indexed or in the trash.
  Status fetch(const Digest& id) {
    if (store_.read_stored_chunk(id)) return {};
    const auto chunk = fetch_from(sources_, id);
    if (!chunk) {
      ++missing_;
      return {};
    }
    ++healed_;
    return packs_.add(*chunk);
  }

  Store& store_;
  const std::span<Store* const> sources_;
  TaskContext& task_;
  HealedPacks packs_;
  DigestSet seen_;
  std::uint64_t healed_ = 0, missing_ = 0;
};

}  // namespace

Result<PackHealing> heal_packs(Store& store, std::span<Store* const> sources, std::span<const Digest> damaged,
                               TaskContext& task) {
  PackHealer healer(store, sources, task);
  return healer.run(damaged);
}

Status throw_away(Store& store, std::span<const Digest> packs) {
  for (std::size_t at = 0; at < packs.size(); at += kEpochPacksMax) {
    const auto some = packs.subspan(at, std::min(kEpochPacksMax, packs.size() - at));
    TRY(retire_packs(store,
                     [&]() -> Result<std::vector<Digest>> { return std::vector<Digest>(some.begin(), some.end()); }));
  }
  return {};
}

Result<std::uint64_t> heal_image(Store& store, std::span<Store* const> sources, const Digest& root, TaskContext& task) {
  ImageHealer healer(store, sources, task);
  return healer.run(root);
}

Result<ImageRecord> heal_record(Store& store, std::span<Store* const> sources, const Digest& root) {
  std::optional<ImageRecord> record;
  for (Store* const source : sources) {
    const auto found = find_image(*source, root);
    if (!record && found && *found) record = **found;
  }
  if (!record) record = TRY(record_from_tree(store, root));
  TRY(replace_record(store, *record));
  return *record;
}

Result<std::vector<std::byte>> heal_chunk(Store& store, Store& source, const Digest& id) {
  Store* const sources[] = {&source};
  const auto chunk = fetch_from(sources, id);
  if (!chunk) return fail(Code::kDataLoss, fmt::format("The other store has no good copy of chunk {}.", id.hex()));
  if (store.access() == Access::kReadWrite) {
    HealedPacks packs(store);
    Status healed = packs.add(*chunk);
    if (healed) healed = packs.flush();
    if (!healed) log::error("store: chunk {} is not healed: {}", id.hex(), healed.error().message());
    if (healed) log::warning("store: chunk {} is healed", id.hex());
  }
  return decode_chunk(id, chunk->codec, chunk->plain_bytes, chunk->bytes);
}

}  // namespace atelier::image
