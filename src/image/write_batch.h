// What the stages of an image's writing hand on: about two MiB of disk, cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "image/claims.h"
#include "image/codec.h"
#include "image/digest.h"
#include "image/geometry.h"
#include "image/index.h"

namespace atelier::image {

// A stretch of the disk, in order. What each stage adds is named.
struct Piece {
  enum class Kind { kChunk, kHole, kSegment, kKnownChunk };
  // Cutting:
  Kind kind = Kind::kHole;
  std::uint64_t disk_bytes = 0;
  std::size_t plain_at = 0;  // chunk: where its bytes begin in Batch::plain
  // Hashing; for a segment or chunk that is taken over: its digest, from the start.
  Digest id;
  // Looking up: chunk: it must be stored.
  bool is_new = false;
  // Compressing: where the stored bytes begin in Batch::stored, when codec is not raw.
  Codec codec = Codec::kRaw;
  std::size_t stored_at = 0;
  std::size_t stored_bytes = 0;
  // Segment: how much of it is data.
  std::uint64_t data_bytes = 0;
};

// Buffers are kept when a batch goes around again.
struct Batch {
  // Four of the longest chunks, so that little is left over for the next batch.
  static constexpr std::size_t kPlainMax = 4 * kDataChunkBytesMax;
  // A batch is handed on when it has so many; a few more may have come in one go.
  static constexpr std::size_t kPiecesMax = 4096;

  Batch();
  std::span<const std::byte> plain_of(const Piece& piece) const {
    return {plain + piece.plain_at, static_cast<std::size_t>(piece.disk_bytes)};
  }
  std::span<const std::byte> stored_of(const Piece& piece) const {
    if (piece.codec == Codec::kRaw) return plain_of(piece);
    return {stored.get() + piece.stored_at, piece.stored_bytes};
  }
  bool is_lent() const { return plain != own.get(); }
  bool is_full() const { return plain_used == kPlainMax || pieces.size() >= kPiecesMax; }
  void clear();

  std::uint64_t number = 0;  // in disk order, from 0
  std::vector<Piece> pieces;
  const std::byte* plain;  // own memory, or the caller's that is lent
  std::size_t plain_used = 0;
  std::unique_ptr<std::byte[]> own;
  std::unique_ptr<std::byte[]> stored;
};

// The stages hashing, looking up and compressing, for one batch. Any thread.
Status prepare_batch(Batch& batch, Index& index, Claims& claims);

}  // namespace atelier::image
