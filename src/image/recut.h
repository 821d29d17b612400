// A changed segment is cut again only around its changes: the other chunks and holes are those of the parent's segment
// at the same place. The chunks are the very ones that cutting the whole segment gives, because cutting remembers
// nothing over a chunk's end (docs/formats/store-1.md, "Cutting").
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "image/digest.h"
#include "image/geometry.h"
#include "image/image_writer.h"
#include "image/nbd_source.h"
#include "image/store.h"
#include "image/tree.h"

namespace atelier::image {

// What is known of each grain of a segment, without reading it.
class GrainMap {
 public:
  enum class Grain : std::uint8_t {
    kKept,  // as in the parent
    kZero,  // all zero
    kRead,  // anything: it must be read
  };

  // A segment of so many bytes, of which all is kept.
  explicit GrainMap(std::uint64_t bytes);
  // Of the segment at `start` of a disk as `extents` describe it; they cover it all, in order, and may cover more.
  // Its parent's segment has `parent_bytes`; 0 where there is none.
  GrainMap(std::span<const SourceExtent> extents, std::uint64_t start, std::uint64_t bytes, std::uint64_t parent_bytes);

  // These bytes of the segment are no longer the parent's. Any alignment: a grain of which only a part is zero is read.
  void mark_zero(std::uint64_t offset, std::uint64_t bytes);
  void mark_read(std::uint64_t offset, std::uint64_t bytes);

  std::uint64_t bytes() const { return bytes_; }
  bool is_kept() const;  // all of it
  Grain at(std::uint64_t offset) const { return grains_[static_cast<std::size_t>(offset / kGrainBytes)]; }
  // Where the grains that are like the one at `offset`, and follow it without a gap, end.
  std::uint64_t run_end(std::uint64_t offset) const;

 private:
  std::uint64_t bytes_;
  std::vector<Grain> grains_;
};

// The plain bytes of the parent's chunks around changes. Keeps the last one: a change in the middle of a chunk needs it
// twice. One thread at a time.
class ParentChunks {
 public:
  explicit ParentChunks(Store& store) : store_(store) {}
  // Valid until the next call. kDataLoss when the store lacks it, or has it damaged.
  Result<std::span<const std::byte>> read(const Digest& id, std::uint32_t bytes);

 private:
  Store& store_;
  Digest id_;
  std::vector<std::byte> bytes_;
};

// Gives one segment to the writer, in order. All offsets are within the segment.
class SegmentRecut {
 public:
  // `parent`: the entries of the parent's segment at this place; it may be longer or shorter than this one. Where it
  // ends, or its last grain is not whole, the map must keep nothing.
  SegmentRecut(Segment parent, GrainMap grains) : parent_(std::move(parent)), grains_(std::move(grains)) {}

  // What must be read, ascending and not touching: whole grains.
  void for_each_read(const std::function<void(std::uint64_t offset, std::uint64_t bytes)>& visit) const;

  // Appends everything from where the last call ended up to `end`, where reading begins again or the segment ends.
  Status pass_to(std::uint64_t end, ImageWriter& writer, ParentChunks& chunks);
  // Appends bytes that were read.
  Status append_read(std::span<const std::byte> bytes, ImageWriter& writer);

  std::uint64_t position() const { return position_; }
  std::uint64_t bytes() const { return grains_.bytes(); }

 private:
  Status pass_kept(std::uint64_t end, ImageWriter& writer, ParentChunks& chunks);
  bool keeps_its_cut() const;
  std::uint64_t entry_end() const { return entry_at_ + parent_.entries[entry_].bytes; }

  Segment parent_;
  GrainMap grains_;
  std::uint64_t position_ = 0;
  std::size_t entry_ = 0;       // the parent's entry at or before the position
  std::uint64_t entry_at_ = 0;  // where it begins
};

}  // namespace atelier::image
