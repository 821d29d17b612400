#include "image/write_batch.h"

#include "base/check.h"

namespace atelier::image {
namespace {

// Each chunk may need some bytes more than its length while it is compressed, and none of them afterwards.
std::size_t stored_bytes_max() { return compress_bound(Batch::kPlainMax) + compress_bound(kDataChunkBytesMax); }

}  // namespace

Batch::Batch()
    : own(std::make_unique_for_overwrite<std::byte[]>(kPlainMax)),
      stored(std::make_unique_for_overwrite<std::byte[]>(stored_bytes_max())) {
  clear();
}

void Batch::clear() {
  pieces.clear();
  plain = own.get();
  plain_used = 0;
}

namespace {

// All in one call: side by side they take half the time.
void hash_chunks(Batch& batch) {
  std::vector<std::span<const std::byte>> plain;
  std::vector<Piece*> pieces;
  for (Piece& piece : batch.pieces) {
    if (piece.kind != Piece::Kind::kChunk) continue;
    plain.push_back(batch.plain_of(piece));
    pieces.push_back(&piece);
  }
  std::vector<Digest> digests(plain.size());
  sha256_each(plain, digests);
  for (std::size_t i = 0; i < digests.size(); ++i) pieces[i]->id = digests[i];
}

Status find_new_chunks(Batch& batch, Index& index, Claims& claims) {
  std::vector<Digest> ids;
  std::vector<Piece*> pieces;
  for (Piece& piece : batch.pieces) {
    if (piece.kind != Piece::Kind::kChunk) continue;
    ids.push_back(piece.id);
    pieces.push_back(&piece);
  }
  std::vector<bool> is_new;
  TRY(claims.claim_new(index, ids, is_new));
  for (std::size_t i = 0; i < ids.size(); ++i) pieces[i]->is_new = is_new[i];
  return {};
}

}  // namespace

Status prepare_batch(Batch& batch, Index& index, Claims& claims) {
  hash_chunks(batch);
  TRY(find_new_chunks(batch, index, claims));
  const std::size_t room = stored_bytes_max();
  std::size_t used = 0;
  for (Piece& piece : batch.pieces) {
    if (!piece.is_new) continue;
    const auto plain = batch.plain_of(piece);
    CHECK(used + compress_bound(plain.size()) <= room);
    piece.stored_bytes = compress(plain, {batch.stored.get() + used, room - used});
    piece.stored_at = used;
    piece.codec = piece.stored_bytes > 0 ? Codec::kZstd : Codec::kRaw;
    used += piece.stored_bytes;
  }
  return {};
}

}  // namespace atelier::image
