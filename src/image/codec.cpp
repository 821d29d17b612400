#include "image/codec.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>
#include <zstd.h>

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

std::unexpected<Error> wrong(const Digest& id) {
  return fail(Code::kDataLoss, fmt::format("The bytes stored for chunk {} are not that chunk.", id.hex()));
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

Result<std::vector<std::byte>> decode_chunk(const Digest& id, Codec codec, std::uint32_t plain_bytes,
                                            std::span<const std::byte> stored) {
  if (plain_bytes == 0 || plain_bytes > kChunkBytesMax) return wrong(id);
  std::vector<std::byte> plain;
  switch (codec) {
    case Codec::kRaw:
      plain.assign(stored.begin(), stored.end());
      break;
    case Codec::kZstd: {
      thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
      CHECK(context != nullptr);
      plain.resize(plain_bytes);
      const std::size_t length =
          ZSTD_decompressDCtx(context.get(), plain.data(), plain.size(), stored.data(), stored.size());
      if (ZSTD_isError(length) != 0 || length != plain_bytes) return wrong(id);
      break;
    }
    default:
      return wrong(id);
  }
  if (plain.size() != plain_bytes || sha256(plain) != id) return wrong(id);
  return plain;
}

std::uint64_t checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace atelier::image
