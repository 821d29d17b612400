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

// The checksum of stored bytes in pack footers: XXH3, 64 bits, seed 0.
std::uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace atelier::image
