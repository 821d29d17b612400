// Reads one image at any offset. Every chunk's digest is checked when it is decoded: wrong bytes are never handed out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "image/chunk_source.h"
#include "image/digest.h"
#include "image/store.h"

namespace atelier::image {

struct ReadOptions {
  std::size_t chunk_cache_bytes = 32u << 20;  // decoded chunks kept, of a reader with a chunk source of its own
  std::size_t segments_cached = 64;           // decoded segment lists kept (about 100 KiB each)
};

struct DiskRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;

  bool operator==(const DiskRange&) const = default;
};

// A stretch of the disk that is all data or all hole.
struct Extent {
  enum class Kind { kData, kHole };
  Kind kind = Kind::kData;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;

  bool operator==(const Extent&) const = default;
};

// Thread-safe; the store, or the chunk source, must outlive it.
class ImageReader {
 public:
  // kNotFound when the store has no such image, kDataLoss when its root is damaged.
  static Result<std::unique_ptr<ImageReader>> open(Store& store, const Digest& root, const ReadOptions& options = {});
  // The same, with the chunks of a source that many readers share.
  static Result<std::unique_ptr<ImageReader>> open(ChunkSource& source, const Digest& root,
                                                   const ReadOptions& options = {});
  ~ImageReader();
  ImageReader(const ImageReader&) = delete;
  ImageReader& operator=(const ImageReader&) = delete;

  std::uint64_t disk_bytes() const;
  // Fills `into` with the bytes at `offset`. kInvalidArgument when they reach beyond the disk; kDataLoss when a chunk
  // is missing or wrong and nobody has a good copy (then `into` holds nothing of use).
  Status read(std::uint64_t offset, std::span<std::byte> into);
  // Brings the chunks of these stretches nearer. Errors as of read().
  Status prefetch(std::span<const DiskRange> ranges, ChunkSource::Keep keep);
  // The extents that cover [offset, offset + bytes), in order, neighbours of different kind (a hole may be cut at a
  // segment's end when `count_max` is reached there). At most `count_max`: then they cover less.
  Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t bytes, std::size_t count_max = 65536);

 private:
  class Impl;
  explicit ImageReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::image
