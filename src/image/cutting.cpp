#include "image/cutting.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace atelier::image {
namespace {

constexpr std::uint32_t kTailBytes = 32;           // a grain that ends in so many zeros is most often a file's last
constexpr std::uint32_t kTailCutFrom = 4u << 10;   // chunk length from which a tail ends it
constexpr std::uint32_t kHashCutFrom = 16u << 10;  // chunk length from which a hash ends it
constexpr std::uint64_t kHashModulus = 32;         // mean 32 grains between hash cuts

}  // namespace

bool is_all_zero(std::span<const std::byte> bytes) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  // Data shows itself in its first bytes nearly always: look there before running over the rest in wide steps.
  for (std::size_t block = 64; left >= block; block = 512) {
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < block; i += sizeof any) {
      std::uint64_t word = 0;
      std::memcpy(&word, at + i, sizeof word);
      any |= word;
    }
    if (any != 0) return false;
    at += block;
    left -= block;
  }
  return std::all_of(at, at + left, [](std::byte b) { return b == std::byte{0}; });
}

Cutter::Step Cutter::step(std::span<const std::byte> grain) {
  CHECK(!grain.empty() && grain.size() <= kGrainBytes);
  if (is_all_zero(grain)) {
    reset();
    return Step::kHole;
  }
  chunk_bytes_ += static_cast<std::uint32_t>(grain.size());
  const auto tail = grain.last(std::min<std::size_t>(kTailBytes, grain.size()));
  const bool ends = chunk_bytes_ >= kDataChunkBytesMax || (chunk_bytes_ >= kTailCutFrom && is_all_zero(tail)) ||
                    (chunk_bytes_ >= kHashCutFrom && XXH3_64bits(grain.data(), grain.size()) % kHashModulus == 0);
  if (!ends) return Step::kInside;
  reset();
  return Step::kEnd;
}

std::vector<Cut> cut_segment(std::span<const std::byte> segment) {
  CHECK(segment.size() <= kSegmentBytes);
  std::vector<Cut> cuts;
  Cutter cutter;
  bool in_chunk = false;
  for (std::size_t offset = 0; offset < segment.size(); offset += kGrainBytes) {
    const auto grain = segment.subspan(offset, std::min<std::size_t>(kGrainBytes, segment.size() - offset));
    const Cutter::Step step = cutter.step(grain);
    const bool is_hole = step == Cutter::Step::kHole;
    const bool goes_on = is_hole ? !cuts.empty() && cuts.back().is_hole : in_chunk;
    if (goes_on) {
      cuts.back().bytes += grain.size();
    } else {
      cuts.push_back({offset, grain.size(), is_hole});
    }
    in_chunk = step == Cutter::Step::kInside;
  }
  return cuts;
}

}  // namespace atelier::image
