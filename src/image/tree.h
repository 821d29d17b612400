// The tree of an image: a root names segments, a segment names chunks. Both are chunks themselves. The encodings are
// canonical: equal disks give equal bytes, and so equal digests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "image/digest.h"
#include "image/geometry.h"
#include "image/store.h"

namespace atelier::image {

// One stretch of a segment: a hole when `chunk` is all zero.
struct SegmentEntry {
  std::uint32_t bytes = 0;
  Digest chunk;

  bool is_hole() const { return chunk.is_zero(); }
  bool operator==(const SegmentEntry&) const = default;
};

// The stretches of up to 64 MiB of disk, in order. add() joins holes that touch.
struct Segment {
  std::vector<SegmentEntry> entries;

  void add_hole(std::uint32_t bytes);
  void add_chunk(const Digest& chunk, std::uint32_t bytes);
  std::uint64_t bytes() const;
  std::uint64_t data_bytes() const;
  bool is_hole() const { return entries.empty() || (entries.size() == 1 && entries.front().is_hole()); }
};

struct Root {
  std::uint64_t disk_bytes = 0;
  std::vector<Digest> segments;  // segment_count(disk_bytes) of them; all zero = one hole
};

std::vector<std::byte> encode_segment(const Segment& segment);
// kDataLoss unless `bytes` is exactly what encode_segment gives for some segment.
Result<Segment> decode_segment(std::span<const std::byte> bytes);
std::vector<std::byte> encode_root(const Root& root);
Result<Root> decode_root(std::span<const std::byte> bytes);

// Read from a store, digests checked. kDataLoss when missing or damaged. The zero digest gives a hole of `bytes`.
Result<Root> read_root(Store& store, const Digest& root);
Result<Segment> read_segment(Store& store, const Digest& segment, std::uint64_t bytes);
// The segments of an image in order, all zero for a hole: what an incremental capture compares and takes over.
// kNotFound when the store has no such image.
Result<std::vector<Digest>> segments_of(Store& store, const Digest& root);

}  // namespace atelier::image
