// Chunks between their plain and their stored form: zstd, or raw where zstd does not shrink them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "image/digest.h"

namespace atelier::image {

enum class Codec : std::uint8_t { kRaw = 0, kZstd = 1 };

// A chunk as packs hold it.
struct StoredChunk {
  Digest id;
  Codec codec = Codec::kRaw;
  std::uint32_t plain_bytes = 0;
  std::vector<std::byte> bytes;
};

// The room compress() needs for `plain_bytes`.
std::size_t compress_bound(std::size_t plain_bytes);
// Compresses into `into` (at least compress_bound(plain.size()) bytes); gives the length, or 0 when the result is not
// shorter than `plain`: then store it raw. Each thread keeps one context.
std::size_t compress(std::span<const std::byte> plain, std::span<std::byte> into);

// Encodes a whole chunk: for segments, roots and tests.
StoredChunk encode_chunk(std::span<const std::byte> plain);

// Decodes and checks the id. kDataLoss when the bytes do not give `plain_bytes` bytes with that digest.
Result<std::vector<std::byte>> decode_chunk(const Digest& id, Codec codec, std::uint32_t plain_bytes,
                                            std::span<const std::byte> stored);

// A stored chunk, and the caller's room for its plain bytes: exactly as many as the chunk has.
struct ChunkToDecode {
  Digest id;
  Codec codec = Codec::kRaw;
  std::span<const std::byte> stored;
  std::span<std::byte> plain;
};

// decode_chunk() into the caller's memory. After kDataLoss `plain` is all zero: wrong bytes are never handed out.
Status decode_chunk_into(const ChunkToDecode& chunk);
// The same for many chunks, whose digests are checked together (sha256_each): the fastest way to read. wrong[i] says
// whether chunks[i] is not that chunk; its `plain` is then all zero. Gives the number of wrong ones.
std::size_t decode_chunks(std::span<const ChunkToDecode> chunks, std::vector<bool>& wrong);
// Decodes and checks nothing but the length: false when `stored` does not give exactly plain.size() bytes. Only for a
// caller that checks the digest itself before anyone else sees the bytes.
bool decode_unchecked(Codec codec, std::span<const std::byte> stored, std::span<std::byte> plain);
// The error for a chunk that decode_chunks() found wrong.
Error wrong_chunk(const Digest& id);

// The checksum of stored bytes in pack footers: XXH3, 64 bits, seed 0.
std::uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace atelier::image
