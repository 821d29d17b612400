#include "image/codec.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/check.h"
#include "image/geometry.h"

namespace atelier::image {
namespace {

constexpr int kLevel = 1;

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// How much decode_chunks() decodes before it looks at the digests: what the core's second-level cache still holds.
constexpr std::size_t kCheckedTogetherMax = 16;
constexpr std::size_t kCheckedTogetherBytes = 256U << 10;

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  CHECK(context != nullptr);
  return context.get();
}

// Decodes and checks a few chunks; at most kCheckedTogetherMax.
std::size_t decode_together(std::span<const ChunkToDecode> chunks, std::size_t first, std::vector<bool>& wrong) {
  std::array<std::span<const std::byte>, kCheckedTogetherMax> inputs;
  std::array<Digest, kCheckedTogetherMax> digests;
  std::size_t wrong_count = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const ChunkToDecode& chunk = chunks[i];
    const bool decoded = decode_unchecked(chunk.codec, chunk.stored, chunk.plain);
    wrong[first + i] = !decoded;
    inputs[i] = decoded ? std::span<const std::byte>(chunk.plain) : std::span<const std::byte>{};
  }
  sha256_each(std::span(inputs).first(chunks.size()), std::span(digests).first(chunks.size()));
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    wrong[first + i] = wrong[first + i] || digests[i] != chunks[i].id;
    if (!wrong[first + i]) continue;
    std::ranges::fill(chunks[i].plain, std::byte{0});
    ++wrong_count;
  }
  return wrong_count;
}

}  // namespace

std::size_t compress_bound(std::size_t plain_bytes) { return ZSTD_compressBound(plain_bytes); }

std::size_t compress(std::span<const std::byte> plain, std::span<std::byte> into) {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  CHECK(context != nullptr && into.size() >= compress_bound(plain.size()));
  const std::size_t length =
      ZSTD_compressCCtx(context.get(), into.data(), into.size(), plain.data(), plain.size(), kLevel);
  return ZSTD_isError(length) != 0 || length >= plain.size() ? 0 : length;
}

StoredChunk encode_chunk(std::span<const std::byte> plain) {
  StoredChunk chunk;
  chunk.id = sha256(plain);
  chunk.plain_bytes = static_cast<std::uint32_t>(plain.size());
  chunk.bytes.resize(compress_bound(plain.size()));
  const std::size_t length = compress(plain, chunk.bytes);
  if (length > 0) {
    chunk.codec = Codec::kZstd;
    chunk.bytes.resize(length);
  } else {
    chunk.bytes.assign(plain.begin(), plain.end());
  }
  return chunk;
}

bool decode_unchecked(Codec codec, std::span<const std::byte> stored, std::span<std::byte> plain) {
  if (plain.empty() || plain.size() > kChunkBytesMax) return false;
  switch (codec) {
    case Codec::kRaw:
      if (stored.size() != plain.size()) return false;
      std::ranges::copy(stored, plain.begin());
      return true;
    case Codec::kZstd: {
      const std::size_t length =
          ZSTD_decompressDCtx(decompressor(), plain.data(), plain.size(), stored.data(), stored.size());
      return ZSTD_isError(length) == 0 && length == plain.size();
    }
    default:
      return false;
  }
}

Error wrong_chunk(const Digest& id) {
  return Error(Code::kDataLoss, fmt::format("The bytes stored for chunk {} are not that chunk.", id.hex()));
}

Status decode_chunk_into(const ChunkToDecode& chunk) {
  if (decode_unchecked(chunk.codec, chunk.stored, chunk.plain) && sha256(chunk.plain) == chunk.id) return {};
  std::ranges::fill(chunk.plain, std::byte{0});
  return fail(wrong_chunk(chunk.id));
}

std::size_t decode_chunks(std::span<const ChunkToDecode> chunks, std::vector<bool>& wrong) {
  wrong.assign(chunks.size(), false);
  std::size_t wrong_count = 0;
  for (std::size_t first = 0; first < chunks.size();) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    while (first + count < chunks.size() && count < kCheckedTogetherMax && bytes < kCheckedTogetherBytes) {
      bytes += chunks[first + count++].plain.size();
    }
    wrong_count += decode_together(chunks.subspan(first, count), first, wrong);
    first += count;
  }
  return wrong_count;
}

Result<std::vector<std::byte>> decode_chunk(const Digest& id, Codec codec, std::uint32_t plain_bytes,
                                            std::span<const std::byte> stored) {
  if (plain_bytes == 0 || plain_bytes > kChunkBytesMax) return fail(wrong_chunk(id));
  std::vector<std::byte> plain(plain_bytes);
  TRY(decode_chunk_into({.id = id, .codec = codec, .stored = stored, .plain = plain}));
  return plain;
}

std::uint64_t checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace atelier::image
