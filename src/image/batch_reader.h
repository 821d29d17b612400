// Reads many chunks out of a store with few reads: chunks that lie side by side in a pack, as those of a disk's
// neighbourhood do, come with one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "image/codec.h"
#include "image/digest.h"
#include "image/index.h"
#include "image/store.h"

namespace atelier::image {

struct BatchReadOptions {
  // So many bytes between two wanted chunks are read along with them. 0: only what is wanted is read.
  std::uint32_t gap_bytes_max = 64U << 10;
  // A read is not longer than this, but for a single chunk that is.
  std::uint32_t read_bytes_max = 4U << 20;
};

// A chunk as stored, in the reader's memory.
struct ChunkAsStored {
  Codec codec = Codec::kRaw;
  std::uint32_t plain_bytes = 0;
  std::span<const std::byte> bytes;
};

// For one thread at a time; keeps its memory from batch to batch. Needs as much as the batch's chunks take as stored,
// and the gaps between them.
class BatchReader {
 public:
  explicit BatchReader(Store& store, const BatchReadOptions& options = {}) : store_(store), options_(options) {}

  // Reads the chunks `ids`, of which any may be there twice; chunks()[i] is then ids[i], until the next call. Nothing
  // is decoded or checked yet. kDataLoss when the store lacks one.
  Status read(std::span<const Digest> ids);
  std::span<const ChunkAsStored> chunks() const { return chunks_; }

 private:
  // Bytes of a pack that are read at once, and for which of the batch's chunks: order_[first] to order_[end - 1].
  struct Range {
    std::size_t first = 0, end = 0;
    std::uint64_t offset = 0, bytes = 0;  // in the pack
  };
  void plan();
  Status read_range(const Range& range, std::span<std::byte> into);

  Store& store_;
  const BatchReadOptions options_;
  std::vector<std::optional<ChunkLocation>> places_;
  std::vector<std::size_t> order_;  // of the batch's chunks, by pack and offset
  std::vector<Range> ranges_;
  std::vector<std::byte> memory_;
  std::vector<StoredChunk> single_;  // chunks that had to be looked for one by one
  std::vector<ChunkAsStored> chunks_;
};

}  // namespace atelier::image
