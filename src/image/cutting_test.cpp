#include "image/cutting.h"

#include <gtest/gtest.h>

#include "image/digest.h"
#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

constexpr std::size_t kGrain = kGrainBytes;

Disk random_bytes_of(std::uint64_t seed, std::size_t bytes) {
  Random random(seed);
  Disk disk(bytes);
  fill_random(random, disk);
  return disk;
}

TEST(Cutting, CoversEveryByteOnceAndHolesAreExactlyTheZeroGrains) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    const Disk disk = random_disk(seed, 8u << 20);
    std::uint64_t at = 0;
    bool after_hole = false;
    for (const Cut& cut : cut_segment(disk)) {
      EXPECT_EQ(cut.offset, at);
      EXPECT_GT(cut.bytes, 0u);
      EXPECT_FALSE(cut.is_hole && after_hole);
      for (std::uint64_t grain = 0; grain < cut.bytes; grain += kGrainBytes) {
        EXPECT_EQ(is_all_zero(std::span(disk).subspan(at + grain, kGrainBytes)), cut.is_hole);
      }
      if (!cut.is_hole) {
        EXPECT_LE(cut.bytes, kDataChunkBytesMax);
      }
      after_hole = cut.is_hole;
      at += cut.bytes;
    }
    EXPECT_EQ(at, disk.size());
  }
}

TEST(Cutting, BeginsAgainAtAnyBoundaryWithTheSameCuts) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    const Disk disk = random_disk(seed, 6u << 20);
    const auto cuts = cut_segment(disk);
    ASSERT_GT(cuts.size(), 10u);
    for (std::size_t i = 1; i < cuts.size(); i += 7) {
      auto again = cut_segment(std::span(disk).subspan(cuts[i].offset));
      for (Cut& cut : again) cut.offset += cuts[i].offset;
      EXPECT_TRUE(std::ranges::equal(again, std::span(cuts).subspan(i)));
    }
  }
}

TEST(Cutting, EndsAChunkAfterATailOfZerosAndNotAfterAShorterOne) {
  Disk disk = random_bytes_of(7, 3 * kGrain);
  const auto zero_tail = [&](std::size_t grain, std::size_t count) {
    std::fill_n(disk.begin() + static_cast<std::ptrdiff_t>((grain + 1) * kGrainBytes - count), count, std::byte{0});
  };
  zero_tail(0, 31);
  EXPECT_EQ(cut_segment(disk), (std::vector<Cut>{{0, 3 * kGrain, false}}));
  zero_tail(0, 32);
  EXPECT_EQ(cut_segment(disk), (std::vector<Cut>{{0, kGrainBytes, false}, {kGrainBytes, 2 * kGrain, false}}));
}

TEST(Cutting, NeverCutsByHashBelow16KiBAndAlwaysAt512KiB) {
  const Disk disk = random_bytes_of(3, 32u << 20);
  const auto cuts = cut_segment(disk);
  for (const Cut& cut : cuts) EXPECT_GE(cut.bytes, 16u << 10);
  EXPECT_GT(cuts.size(), 32u * 4);  // the mean is near 140 KiB: not only cuts at the bound
  EXPECT_LT(cuts.size(), 32u * 16);
  // Equal grains whose hash does not cut: only the bound ends a chunk.
  Disk grain = random_bytes_of(4, kGrainBytes);
  Disk repeated;
  for (int i = 0; i < 300; ++i) repeated.insert(repeated.end(), grain.begin(), grain.end());
  const auto bound = cut_segment(repeated);
  ASSERT_EQ(bound.size(), 3u);
  EXPECT_EQ(bound[0].bytes, kDataChunkBytesMax);
}

// The rule is part of the format: these digests of lists of cuts were taken when format 1 was fixed.
TEST(Cutting, IsTheRuleOfFormat1) {
  std::string text;
  for (const Cut& cut : cut_segment(random_disk(42, 4u << 20))) {
    text += std::to_string(cut.offset) + "+" + std::to_string(cut.bytes) + (cut.is_hole ? "h " : "c ");
  }
  EXPECT_EQ(sha256(std::as_bytes(std::span(text))).hex(),
            "700166e1b61675d22bbe71dbdcda0a26fc7570bdd084d600485d2935f027c6af");
}

TEST(Cutting, FindsAFileAgainWhereverItLies) {
  Random random(11);
  const Disk file = random_file(random, 3000000);
  Disk first = random_bytes_of(1, 10 * kGrain);
  Disk second = random_bytes_of(2, 171 * kGrain);
  const auto chunks_of = [&](Disk disk) {
    disk.resize(disk.size() + kGrainBytes);  // the hole before the file: its first chunk begins here
    disk.insert(disk.end(), file.begin(), file.end());
    disk.resize((disk.size() + 2 * kGrain - 1) / kGrainBytes * kGrainBytes);
    std::vector<Digest> chunks;
    for (const Cut& cut : cut_segment(disk)) {
      if (!cut.is_hole) chunks.push_back(sha256(std::span(disk).subspan(cut.offset, cut.bytes)));
    }
    return chunks;
  };
  const auto a = chunks_of(first);
  const auto b = chunks_of(second);
  std::size_t shared = 0;
  for (const Digest& chunk : a) shared += static_cast<std::size_t>(std::ranges::count(b, chunk));
  EXPECT_GE(shared, cut_segment(file).size());
}

TEST(Cutting, TakesAShortLastGrain) {
  Disk disk = random_bytes_of(5, kGrainBytes + 10);
  EXPECT_EQ(cut_segment(disk).back().offset + cut_segment(disk).back().bytes, disk.size());
  std::fill(disk.begin() + kGrainBytes, disk.end(), std::byte{0});
  EXPECT_EQ(cut_segment(disk).back(), (Cut{kGrainBytes, 10, true}));
  for (std::size_t bytes : {1u, 31u, 33u, 511u, 513u, 1600u}) {
    Disk zeros(bytes);
    EXPECT_TRUE(is_all_zero(zeros));
    zeros.back() = std::byte{1};
    EXPECT_FALSE(is_all_zero(zeros));
  }
}

}  // namespace
}  // namespace atelier::image
