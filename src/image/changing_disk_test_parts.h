// A disk in memory that is changed at random and remembers what changed, and the root that its bytes must get. For
// tests of captures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "image/cutting.h"
#include "image/geometry.h"
#include "image/nbd_source.h"
#include "image/store_test_parts.h"
#include "image/tree.h"

namespace atelier::image {

inline constexpr std::uint64_t kSectorBytes = 512;

// All bytes cut anew, by nothing but the rule. And where chunks and holes begin.
struct FullScan {
  Digest root;
  std::vector<std::uint64_t> edges;
};

// Cuts one segment. Blocks of zeros are passed over at once: cutting begins anew behind a hole.
inline Segment scan_segment(std::span<const std::byte> bytes, std::uint64_t start, std::vector<std::uint64_t>& edges) {
  static const Disk kZeros(256u << 10);
  const auto is_zero_block = [&](std::size_t at) {
    const std::size_t count = std::min(kZeros.size(), bytes.size() - at);
    return std::memcmp(bytes.data() + at, kZeros.data(), count) == 0;
  };
  Segment segment;
  for (std::size_t at = 0; at < bytes.size();) {
    const bool is_zero = is_zero_block(at);
    std::size_t end = at;
    while (end < bytes.size() && is_zero_block(end) == is_zero) end += std::min(kZeros.size(), bytes.size() - end);
    const auto run = bytes.subspan(at, end - at);
    const std::vector<Cut> cuts = is_zero ? std::vector<Cut>{{0, run.size(), true}} : cut_segment(run);
    for (const Cut& cut : cuts) {
      edges.push_back(start + at + cut.offset);
      const auto length = static_cast<std::uint32_t>(cut.bytes);
      if (cut.is_hole) {
        segment.add_hole(length);
      } else {
        segment.add_chunk(sha256(run.subspan(cut.offset, cut.bytes)), length);
      }
    }
    at = end;
  }
  return segment;
}

inline FullScan full_scan(std::span<const std::byte> disk) {
  FullScan scan;
  Root root{.disk_bytes = disk.size(), .segments = {}};
  for (std::size_t start = 0; start < disk.size(); start += kSegmentBytes) {
    const auto bytes = disk.subspan(start, std::min<std::size_t>(kSegmentBytes, disk.size() - start));
    const Segment segment = scan_segment(bytes, start, scan.edges);
    root.segments.push_back(segment.is_hole() ? Digest{} : sha256(encode_segment(segment)));
  }
  scan.root = sha256(encode_root(root));
  return scan;
}

// What a change does to the disk below, in whole sectors inside it.
struct DiskChange {
  enum class Kind { kWrite, kZero, kDiscard };
  Kind kind = Kind::kWrite;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  Disk data;  // of a write
};

// Bytes as they come to disks: noise, files that end in zeros, one sector, what the disk has elsewhere, or has here.
inline Disk random_data(std::span<const std::byte> disk, std::uint64_t offset, std::uint64_t bytes, Random& random) {
  Disk data(bytes);
  switch (random_below(random, 6)) {
    case 0:
    case 1: {
      const std::uint64_t file_bytes = bytes - random_below(random, std::min<std::uint64_t>(bytes, 4096));
      std::ranges::copy(random_file(random, file_bytes), data.begin());
      break;
    }
    case 2: {
      const std::uint64_t from = random_below(random, disk.size() - bytes + 1) / kSectorBytes * kSectorBytes;
      std::ranges::copy(disk.subspan(from, bytes), data.begin());
      break;
    }
    case 3:
      std::ranges::copy(disk.subspan(offset, bytes), data.begin());
      data[random_below(random, bytes)] ^= std::byte{static_cast<unsigned char>(random_below(random, 2))};
      break;
    case 4:
      break;  // zeros, written as data
    default:
      fill_random(random, data);
  }
  return data;
}

// Half of them begin or end close to where a chunk or hole does. `bytes_max`: of one change.
inline DiskChange random_change(std::span<const std::byte> disk, std::span<const std::uint64_t> edges,
                                std::uint64_t bytes_max, Random& random) {
  constexpr std::array<std::uint64_t, 4> kUnits = {kSectorBytes, kGrainBytes, kGrainBytes, 64u << 10};
  const std::uint64_t unit = kUnits[random_below(random, kUnits.size())];
  DiskChange change;
  change.bytes = std::min(bytes_max, unit * (1 + random_below(random, random_below(random, 4) == 0 ? 64 : 8)));
  if (random_below(random, 2) == 0) {
    const std::uint64_t edge = edges[random_below(random, edges.size())];
    const std::uint64_t shift = random_below(random, 3) * (random_below(random, 2) == 0 ? kSectorBytes : kGrainBytes);
    const bool before = random_below(random, 2) == 0;
    change.offset = before ? edge - std::min(edge, shift + change.bytes) : edge + shift;
  } else {
    change.offset = random_below(random, disk.size()) / unit * unit;
  }
  change.offset = std::min<std::uint64_t>(change.offset, disk.size() - kSectorBytes);
  change.bytes = std::min<std::uint64_t>(change.bytes, disk.size() - change.offset);
  switch (random_below(random, 6)) {
    case 0:
      change.kind = DiskChange::Kind::kZero;
      break;
    case 1:
      change.kind = DiskChange::Kind::kDiscard;
      break;
    default:
      change.data = random_data(disk, change.offset, change.bytes, random);
  }
  return change;
}

// A multiple of 512, at most 2 MiB away, at most `bytes_max`.
inline std::uint64_t random_new_size(std::uint64_t bytes, std::uint64_t bytes_max, Random& random) {
  const std::uint64_t unit = random_below(random, 2) == 0 ? kSectorBytes : kGrainBytes;
  const std::uint64_t change = random_below(random, (2u << 20) / unit) * unit;
  const bool shrinks = random_below(random, 2) == 0;
  return std::clamp(shrinks ? bytes - std::min(bytes, change) : bytes + change, kSectorBytes * 8, bytes_max);
}

// The topmost layer of a disk in memory, over a parent.
class ChangingDisk {
 public:
  // All of it is written; there is no parent.
  explicit ChangingDisk(Disk bytes) : bytes_(std::move(bytes)), sectors_(bytes_.size() / kSectorBytes, kData) {}

  std::span<const std::byte> bytes() const { return bytes_; }
  // From now on, what is here is the parent.
  void forget_changes() {
    parent_bytes_ = bytes_.size();
    sectors_.assign(bytes_.size() / kSectorBytes, kBacking);
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) {
    std::ranges::copy(data, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    mark(offset, data.size(), kData);
  }
  void zero(std::uint64_t offset, std::uint64_t bytes) {
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), bytes, std::byte{0});
    mark(offset, bytes, kZeros);
  }
  void apply(const DiskChange& change) {
    if (change.kind == DiskChange::Kind::kWrite) {
      write(change.offset, change.data);
    } else {
      zero(change.offset, change.bytes);
    }
  }
  void resize(std::uint64_t bytes) {
    bytes_.resize(bytes);
    sectors_.resize(bytes / kSectorBytes, kBacking);
  }

  // As a server describes them.
  std::vector<SourceExtent> extents() const {
    std::vector<SourceExtent> all;
    for (std::size_t i = 0; i < sectors_.size(); ++i) {
      const std::uint64_t offset = i * kSectorBytes;
      const bool is_zero = sectors_[i] == kZeros || (sectors_[i] == kBacking && offset >= parent_bytes_);
      const SourceExtent next{
          .offset = offset,
          .bytes = kSectorBytes,
          .content = is_zero ? SourceExtent::Content::kZero : SourceExtent::Content::kData,
          .origin = sectors_[i] == kBacking ? SourceExtent::Origin::kBacking : SourceExtent::Origin::kLocal};
      if (!all.empty() && all.back().content == next.content && all.back().origin == next.origin) {
        all.back().bytes += kSectorBytes;
      } else {
        all.push_back(next);
      }
    }
    return all;
  }

 private:
  enum Sector : unsigned char { kBacking, kData, kZeros };
  void mark(std::uint64_t offset, std::uint64_t bytes, Sector sector) {
    std::fill_n(sectors_.begin() + static_cast<std::ptrdiff_t>(offset / kSectorBytes), bytes / kSectorBytes, sector);
  }

  Disk bytes_;
  std::vector<Sector> sectors_;
  std::uint64_t parent_bytes_ = 0;
};

}  // namespace atelier::image
