// The last stage of an image's writing: takes cut and compressed pieces in disk order, sends new chunks to packs,
// and builds segments and the root. One thread at a time, except counts().
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"
#include "image/pack_stream.h"
#include "image/tree.h"
#include "image/write_batch.h"

namespace atelier::image {

class TreeBuilder {
 public:
  TreeBuilder(Store& store, std::uint64_t disk_bytes);

  Claims& claims() { return claims_; }
  Status add(const Batch& batch);
  // After the last batch: everything durable and indexed. Gives the root's digest.
  Result<Digest> finish();

  std::uint64_t begun_at() const { return packs_.begun_at(); }
  std::uint64_t data_bytes() const { return bytes_new_.load() + bytes_known_.load(); }
  std::uint64_t new_bytes() const { return bytes_new_.load(); }
  std::uint64_t stored_bytes() const { return packs_.stored_bytes(); }
  Progress counts() const;

 private:
  Status add_piece(const Batch& batch, const Piece& piece);
  Status add_hole(std::uint64_t bytes);
  Status advance(std::uint64_t bytes);
  Status end_segment();
  // Stores a segment or root, unless the store has it.
  Result<Digest> store_node(std::span<const std::byte> encoded);

  Store& store_;
  const std::uint64_t disk_bytes_;
  Claims claims_;
  Segment segment_;
  std::uint64_t position_ = 0;
  Root root_;
  std::vector<WholeSegment> whole_;  // of root_'s segments those that are no hole
  std::atomic<std::uint64_t> bytes_done_{0}, bytes_new_{0}, bytes_known_{0};
  PackStream packs_;  // the last member: its thread calls into claims_
};

}  // namespace atelier::image
