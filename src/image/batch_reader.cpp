#include "image/batch_reader.h"

#include <algorithm>
#include <tuple>

#include "image/geometry.h"
#include "image/pack.h"

namespace atelier::image {

// Which chunks come together. `order_` is sorted.
void BatchReader::plan() {
  ranges_.clear();
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const ChunkLocation& place = *places_[order_[i]];
    const std::uint64_t place_end = std::uint64_t{place.offset} + place.stored_bytes;
    if (!ranges_.empty()) {
      Range& range = ranges_.back();
      const std::uint64_t range_end = range.offset + range.bytes;
      if (places_[order_[range.first]]->pack == place.pack && place.offset <= range_end + options_.gap_bytes_max &&
          place_end - range.offset <= options_.read_bytes_max) {
        range.end = i + 1;
        range.bytes = std::max(range_end, place_end) - range.offset;
        continue;
      }
    }
    ranges_.push_back({.first = i, .end = i + 1, .offset = place.offset, .bytes = place.stored_bytes});
  }
}

// Chunks of a range that cannot be read whole are left for the store to look for: their pack may have been swept.
Status BatchReader::read_range(const Range& range, std::span<std::byte> into) {
  const Digest& pack = places_[order_[range.first]]->pack;
  const auto count = store_.bucket().get(pack_name(pack), range.offset, into);
  if (!count && count.error().code() != Code::kNotFound) return fail(count.error());
  for (std::size_t i = range.first; i < range.end; ++i) {
    const ChunkLocation& place = *places_[order_[i]];
    const std::uint64_t begin = place.offset - range.offset;
    if (begin + place.stored_bytes > count.value_or(0)) continue;
    chunks_[order_[i]] = {place.codec, place.plain_bytes, into.subspan(begin, place.stored_bytes)};
  }
  return {};
}

Status BatchReader::read(std::span<const Digest> ids) {
  single_.clear();
  chunks_.assign(ids.size(), {});
  TRY(store_.index().locate_all(ids, places_));
  order_.clear();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (places_[i] && places_[i]->stored_bytes <= kChunkBytesMax) order_.push_back(i);
  }
  std::ranges::sort(order_, {}, [&](std::size_t i) { return std::tie(places_[i]->pack, places_[i]->offset); });
  plan();
  std::uint64_t bytes = 0;
  for (const Range& range : ranges_) bytes += range.bytes;
  if (memory_.size() < bytes) memory_.resize(bytes);
  std::span<std::byte> room = memory_;
  for (const Range& range : ranges_) {
    TRY(read_range(range, room.first(range.bytes)));
    room = room.subspan(range.bytes);
  }
  single_.reserve(ids.size());  // spans point into it
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!chunks_[i].bytes.empty()) continue;
    const StoredChunk& chunk = single_.emplace_back(TRY(store_.read_stored_chunk(ids[i])));
    chunks_[i] = {chunk.codec, chunk.plain_bytes, chunk.bytes};
  }
  return {};
}

}  // namespace atelier::image
