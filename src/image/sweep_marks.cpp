#include "image/sweep_marks.h"

#include <algorithm>
#include <optional>

#include "image/index.h"
#include "image/quarantine.h"
#include "image/tree.h"

namespace atelier::image {

bool SweepMarks::Pack::uses(std::uint32_t offset) const {
  const auto found = std::ranges::lower_bound(offsets, offset);
  return found != offsets.end() && *found == offset && in_use[static_cast<std::size_t>(found - offsets.begin())];
}

Result<SweepMarks> SweepMarks::of_index(Store& store) {
  SweepMarks marks;
  const auto add_pack = [&](const Digest& id) {
    const auto [place, inserted] = marks.places_.try_emplace(id, marks.packs_.size());
    if (inserted) marks.packs_.push_back({.id = id, .offsets = {}, .in_use = {}});
    return place->second;
  };
  for (const Digest& id : TRY(store.index().packs())) add_pack(id);
  TRY(store.index().for_each([&](const Digest&, const ChunkLocation& location) -> Status {
    marks.packs_[add_pack(location.pack)].offsets.push_back(location.offset);
    return {};
  }));
  for (Pack& pack : marks.packs_) {
    std::ranges::sort(pack.offsets);
    pack.offsets.shrink_to_fit();
    pack.in_use.resize(pack.offsets.size());
  }
  return marks;
}

const SweepMarks::Pack* SweepMarks::find(const Digest& pack) const {
  const auto found = places_.find(pack);
  return found == places_.end() ? nullptr : &packs_[found->second];
}

std::uint64_t SweepMarks::chunks_in_use() const {
  std::uint64_t sum = 0;
  for (const Pack& pack : packs_) sum += pack.chunks_in_use;
  return sum;
}

// What is not in the index is looked for in the trash: it comes back then, and its epoch is not purged.
Status SweepMarks::mark_chunks(Store& store, std::span<const Digest> ids) {
  std::vector<std::optional<ChunkLocation>> locations;
  TRY(store.index().locate_all(ids, locations));
  DigestSet missing;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!locations[i]) {
      missing.insert(ids[i]);
      continue;
    }
    const auto place = places_.find(locations[i]->pack);
    if (place == places_.end()) continue;  // newer than these marks
    Pack& pack = packs_[place->second];
    const auto found = std::ranges::lower_bound(pack.offsets, locations[i]->offset);
    // Indexed there since these marks began, for its other place is gone: the pack stays, and is not written anew.
    if (found == pack.offsets.end() || *found != locations[i]->offset) {
      ++pack.chunks_in_use;
      continue;
    }
    const auto at = static_cast<std::size_t>(found - pack.offsets.begin());
    if (pack.in_use[at]) continue;
    pack.in_use[at] = true;
    ++pack.chunks_in_use;
    pack.bytes_in_use += locations[i]->stored_bytes;
  }
  for (const Digest& id : missing) {
    if (!store.read_stored_chunk(id)) ++missing_;
  }
  return {};
}

Status SweepMarks::mark_image(Store& store, const Digest& root, TaskContext& task) {
  const Root tree = TRY(read_root(store, root));
  TRY(mark_chunks(store, {&root, 1}));
  std::vector<Digest> ids;
  for (std::size_t i = 0; i < tree.segments.size(); ++i) {
    const Digest& id = tree.segments[i];
    if (id.is_zero() || segments_.contains(id)) continue;
    TRY(task.check());
    const Segment segment = TRY(read_segment(store, id, segment_bytes(tree.disk_bytes, i)));
    ids.assign(1, id);
    for (const SegmentEntry& entry : segment.entries) {
      if (!entry.is_hole()) ids.push_back(entry.chunk);
    }
    TRY(mark_chunks(store, ids));
    segments_.insert(id);
  }
  images_.insert(root);
  return {};
}

}  // namespace atelier::image
