#include "image/tree_builder.h"

#include <algorithm>

#include "base/check.h"

namespace atelier::image {

TreeBuilder::TreeBuilder(Store& store, std::uint64_t disk_bytes)
    : store_(store), disk_bytes_(disk_bytes), packs_(store, claims_) {
  root_.disk_bytes = disk_bytes;
  root_.segments.reserve(segment_count(disk_bytes));
}

Status TreeBuilder::add(const Batch& batch) {
  for (const Piece& piece : batch.pieces) TRY(add_piece(batch, piece));
  return {};
}

Status TreeBuilder::add_piece(const Batch& batch, const Piece& piece) {
  switch (piece.kind) {
    case Piece::Kind::kHole:
      return add_hole(piece.disk_bytes);
    case Piece::Kind::kSegment:
      CHECK(position_ % kSegmentBytes == 0 && segment_.entries.empty());
      root_.segments.push_back(piece.id);
      whole_.push_back(
          {piece.id, static_cast<std::uint32_t>(piece.disk_bytes), static_cast<std::uint32_t>(piece.data_bytes)});
      position_ += piece.disk_bytes;
      bytes_known_ += piece.data_bytes;
      bytes_done_ += piece.disk_bytes;
      return {};
    case Piece::Kind::kKnownChunk:
      segment_.add_chunk(piece.id, static_cast<std::uint32_t>(piece.disk_bytes));
      bytes_known_ += piece.disk_bytes;
      return advance(piece.disk_bytes);
    case Piece::Kind::kChunk:
      break;
  }
  const auto bytes = static_cast<std::uint32_t>(piece.disk_bytes);
  segment_.add_chunk(piece.id, bytes);
  if (piece.is_new) {
    TRY(packs_.append(piece.id, piece.codec, bytes, batch.stored_of(piece)));
    bytes_new_ += bytes;
  } else {
    bytes_known_ += bytes;
  }
  return advance(bytes);
}

Status TreeBuilder::add_hole(std::uint64_t bytes) {
  while (bytes > 0) {
    const std::uint64_t here = std::min(bytes, kSegmentBytes - position_ % kSegmentBytes);
    segment_.add_hole(static_cast<std::uint32_t>(here));
    TRY(advance(here));
    bytes -= here;
  }
  return {};
}

Status TreeBuilder::advance(std::uint64_t bytes) {
  position_ += bytes;
  bytes_done_ += bytes;
  CHECK(position_ <= disk_bytes_);
  if (position_ % kSegmentBytes != 0 && position_ != disk_bytes_) return {};
  return end_segment();
}

Status TreeBuilder::end_segment() {
  const Digest id = segment_.is_hole() ? Digest{} : TRY(store_node(encode_segment(segment_)));
  root_.segments.push_back(id);
  if (!id.is_zero()) {
    whole_.push_back(
        {id, static_cast<std::uint32_t>(segment_.bytes()), static_cast<std::uint32_t>(segment_.data_bytes())});
  }
  segment_.entries.clear();
  return {};
}

Result<Digest> TreeBuilder::store_node(std::span<const std::byte> encoded) {
  const StoredChunk chunk = encode_chunk(encoded);
  std::vector<bool> is_new;
  TRY(claims_.claim_new(store_.index(), {&chunk.id, 1}, is_new));
  if (!is_new[0]) return chunk.id;
  TRY(packs_.append(chunk.id, chunk.codec, chunk.plain_bytes, chunk.bytes));
  return chunk.id;
}

Result<Digest> TreeBuilder::finish() {
  CHECK(position_ == disk_bytes_);
  const Digest root = TRY(store_node(encode_root(root_)));
  TRY(packs_.finish(whole_));
  return root;
}

Progress TreeBuilder::counts() const {
  return {.phase = {},
          .bytes_done = bytes_done_.load(),
          .bytes_total = disk_bytes_,
          .bytes_new = bytes_new_.load(),
          .bytes_known = bytes_known_.load()};
}

}  // namespace atelier::image
