// The sizes that format 1 is made of, and the arithmetic of segments.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace atelier::image {

inline constexpr std::uint32_t kGrainBytes = 4096;
inline constexpr std::uint32_t kDataChunkBytesMax = 512u << 10;
inline constexpr std::uint64_t kSegmentBytes = 64u << 20;
inline constexpr std::uint64_t kDiskBytesMax = 16ull << 40;
// A root of the largest disk is 8 MiB; nothing decodes to more than this.
inline constexpr std::uint32_t kChunkBytesMax = 16u << 20;
inline constexpr std::uint64_t kPackBytesMax = 64u << 20;

// How many segments a disk has; the last one may be shorter than the others.
constexpr std::size_t segment_count(std::uint64_t disk_bytes) {
  return static_cast<std::size_t>((disk_bytes + kSegmentBytes - 1) / kSegmentBytes);
}
constexpr std::uint64_t segment_bytes(std::uint64_t disk_bytes, std::size_t index) {
  return std::min(kSegmentBytes, disk_bytes - index * kSegmentBytes);
}

}  // namespace atelier::image
