// Where chunks end: the file-tail cut of format 1. The rule may never change within a format version, because equal
// disks must give equal chunks. See docs/formats/store-1.md, "Cutting".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "image/geometry.h"

namespace atelier::image {

bool is_all_zero(std::span<const std::byte> bytes);

// Takes a segment's grains one by one and says where its chunks end. It remembers only the current chunk's length, so
// cutting may begin anew at any chunk boundary and gives the same chunks from there on.
class Cutter {
 public:
  enum class Step {
    kHole,    // the grain is all zero: it belongs to no chunk, and the chunk before it, if any, has ended
    kInside,  // the grain belongs to the current chunk, which goes on
    kEnd,     // the grain is the last one of the current chunk
  };

  // `grain`: the next kGrainBytes of the disk, or fewer where the disk ends.
  Step step(std::span<const std::byte> grain);
  // Is nothing of a chunk pending? Then what comes next is cut as at the segment's beginning.
  bool at_boundary() const { return chunk_bytes_ == 0; }
  // At the end of a segment, and before anything else that ends a chunk from outside (a known hole).
  void reset() { chunk_bytes_ = 0; }

 private:
  std::uint32_t chunk_bytes_ = 0;
};

struct Cut {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool is_hole = false;

  bool operator==(const Cut&) const = default;
};

// Cuts (a part of) one segment in memory, beginning at a chunk boundary: chunks and joined holes in order.
std::vector<Cut> cut_segment(std::span<const std::byte> segment);

}  // namespace atelier::image
