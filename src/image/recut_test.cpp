#include "image/recut.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "image/changing_disk_test_parts.h"
#include "image/image_record.h"
#include "image/memory_bucket.h"
#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

using Content = SourceExtent::Content;
using Origin = SourceExtent::Origin;
using Grain = GrainMap::Grain;

TEST(GrainMap, ReadsGrainsOfWhichOnlyAPartIsZero) {
  GrainMap grains(10 * kGrainBytes + 512);
  EXPECT_TRUE(grains.is_kept());
  grains.mark_zero(kGrainBytes - 512, 2 * kGrainBytes);
  grains.mark_zero(10 * kGrainBytes, 512);
  grains.mark_read(5 * kGrainBytes + 1, 1);
  const std::vector<Grain> expected = {Grain::kRead, Grain::kZero, Grain::kRead, Grain::kKept,
                                       Grain::kKept, Grain::kRead, Grain::kKept};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(grains.at(i * kGrainBytes), expected[i]) << i;
  EXPECT_EQ(grains.at(10 * kGrainBytes), Grain::kZero) << "the disk's last grain is short, and whole";
  EXPECT_EQ(grains.run_end(6 * kGrainBytes), 10 * kGrainBytes);
  EXPECT_EQ(grains.run_end(10 * kGrainBytes), 10 * kGrainBytes + 512);
}

TEST(GrainMap, KeepsNothingWhereTheParentEnds) {
  const std::vector<SourceExtent> extents = {{0, kSegmentBytes + 512, Content::kData, Origin::kBacking},
                                             {kSegmentBytes + 512, 8192, Content::kZero, Origin::kBacking}};
  const GrainMap longer(extents, kSegmentBytes, 8704, 512);
  EXPECT_EQ(longer.at(0), Grain::kRead);
  EXPECT_EQ(longer.at(kGrainBytes), Grain::kZero);
  EXPECT_TRUE(GrainMap(extents, kSegmentBytes, 512, 512).is_kept());
  EXPECT_TRUE(GrainMap(extents, 0, kSegmentBytes, kSegmentBytes).is_kept());
  const GrainMap without(extents, 0, kSegmentBytes, 0);
  EXPECT_EQ(without.at(0), Grain::kRead);
  EXPECT_EQ(without.run_end(0), kSegmentBytes);
}

// Disks that change, with an engine in memory; without a server.
class Recut : public testing::Test {
 protected:
  void SetUp() override {
    auto created = Store::create(std::make_unique<MemoryBucket>(), {folder_.path() / "index", folder_.path() / "lock"},
                                 {.pack_bytes_max = 4u << 20});
    ASSERT_OK(created);
    store_ = std::move(*created);
  }

  struct Outcome {
    ImageRecord record;
    std::uint64_t bytes_read = 0;  // of the disk
  };

  // As capture_disk() does it, with the disk in memory.
  Result<Outcome> capture(const ChangingDisk& disk, const std::optional<Digest>& parent, Random& random) {
    Root old;
    if (parent) old = TRY(read_root(*store_, *parent));
    const std::vector<SourceExtent> extents = disk.extents();
    const auto writer = TRY(ImageWriter::begin(*store_, disk.bytes().size(), {.label = "", .threads = 1}));
    ParentChunks chunks(*store_);
    Outcome outcome;
    for (std::uint64_t start = 0; start < disk.bytes().size(); start += kSegmentBytes) {
      const std::size_t index = start / kSegmentBytes;
      const std::uint64_t bytes = segment_bytes(disk.bytes().size(), index);
      const std::uint64_t old_bytes = index < old.segments.size() ? segment_bytes(old.disk_bytes, index) : 0;
      Segment cuts;
      if (old_bytes != 0) cuts = TRY(read_segment(*store_, old.segments[index], old_bytes));
      SegmentRecut recut(std::move(cuts), GrainMap(extents, start, bytes, old_bytes));
      Status status;
      recut.for_each_read([&](std::uint64_t at, std::uint64_t count) {
        if (status) status = recut.pass_to(at, *writer, chunks);
        for (const std::uint64_t end = at + count; status && at < end;) {
          const std::uint64_t piece = std::min(end - at, 1 + random_below(random, 100000));
          status = recut.append_read(disk.bytes().subspan(start + at, piece), *writer);
          outcome.bytes_read += piece;
          at += piece;
        }
      });
      TRY(status);
      TRY(recut.pass_to(bytes, *writer, chunks));
    }
    outcome.record = TRY(writer->finish());
    return outcome;
  }

  const TestFolder folder_;
  std::unique_ptr<Store> store_;
};

Disk patterned(std::size_t bytes, std::uint64_t seed) {
  Random random(seed);
  Disk disk(bytes);
  fill_random(random, disk);
  return disk;
}

TEST_F(Recut, ReadsTheChangeAloneAndTakesOverTheRest) {
  Random random(1);
  ChangingDisk disk(patterned(8u << 20, 1));
  const auto parent = capture(disk, {}, random).value();
  EXPECT_EQ(parent.bytes_read, 8u << 20);
  disk.forget_changes();
  disk.write(3 << 20, patterned(8192, 2));
  const auto changed = capture(disk, parent.record.root, random);
  ASSERT_OK(changed);
  EXPECT_EQ(changed->record.root, full_scan(disk.bytes()).root);
  EXPECT_EQ(changed->bytes_read, 8192u);
  EXPECT_GT(changed->record.new_bytes, 0u);
  EXPECT_LE(changed->record.new_bytes, 3u * kDataChunkBytesMax);
  EXPECT_EQ(read_disk(*store_, changed->record.root).value(), Disk(disk.bytes().begin(), disk.bytes().end()));
}

TEST_F(Recut, CutsAgainAChunkThatEndedBeforeAHoleWhichIsFilledNow) {
  Random random(1);
  Disk bytes(1u << 20);
  for (std::size_t i = 0; i < 3 * kGrainBytes; ++i) bytes[i] = std::byte{1};  // one chunk, ended by the hole
  ChangingDisk disk(std::move(bytes));
  const auto parent = capture(disk, {}, random).value();
  disk.forget_changes();
  disk.write(3 * kGrainBytes, Disk(kGrainBytes, std::byte{1}));
  const auto grown = capture(disk, parent.record.root, random);
  ASSERT_OK(grown);
  EXPECT_EQ(grown->record.root, full_scan(disk.bytes()).root);
  EXPECT_EQ(grown->record.new_bytes, 4u * kGrainBytes) << "one chunk again";

  disk.forget_changes();
  disk.zero(4 * kGrainBytes, 10 * kGrainBytes);
  const auto same = capture(disk, grown->record.root, random);
  ASSERT_OK(same);
  EXPECT_EQ(same->record, grown->record) << "zeros over a hole change nothing";
  EXPECT_EQ(same->bytes_read, 0u);
}

TEST_F(Recut, AParentsChunkThatTheStoreHasLostIsAnError) {
  Random random(1);
  ChangingDisk disk(patterned(2u << 20, 3));
  const auto parent = capture(disk, {}, random).value();
  disk.forget_changes();
  disk.write(1 << 20, patterned(kGrainBytes, 4));
  const auto packs = store_->bucket().list("packs/").value();
  for (const BucketEntry& entry : packs) ASSERT_OK(store_->bucket().erase(entry.name));
  const auto failed = capture(disk, parent.record.root, random);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), Code::kDataLoss);
}

// Mostly of one short segment; some reach over a border, with data on both sides of it.
Disk random_small_disk(Random& random) {
  if (random_below(random, 10) != 0) return random_disk(random(), (8 + random_below(random, 4000)) * kSectorBytes);
  Disk disk(kSegmentBytes + (1 + random_below(random, 1000)) * kSectorBytes);
  const Disk part = random_disk(random(), std::min<std::size_t>(1u << 20, disk.size() - kSegmentBytes + (512u << 10)));
  std::ranges::copy(part, disk.end() - static_cast<std::ptrdiff_t>(part.size()));
  return disk;
}

class RandomRecuts : public Recut, public testing::WithParamInterface<std::uint64_t> {};

constexpr std::uint64_t kCasesPerSeed = 110;

// Whatever has changed on the disk, also its size: the root is that of all its bytes cut anew.
TEST_P(RandomRecuts, GiveTheSameRootAsAFullScan) {
  std::uint64_t bytes_read = 0;
  std::uint64_t data_bytes = 0;
  std::optional<Digest> parent;
  std::optional<ChangingDisk> disk;
  FullScan scan;
  for (std::uint64_t i = 0; i < kCasesPerSeed; ++i) {
    SCOPED_TRACE(fmt::format("seed {}, change {}", GetParam(), i));
    Random random(GetParam() * 1000 + i);
    if (i % 11 == 0) {
      disk.emplace(random_small_disk(random));
      parent.reset();
    } else {
      if (random_below(random, 4) == 0) {
        disk->resize(random_new_size(disk->bytes().size(), kSegmentBytes + (2u << 20), random));
      }
      for (std::uint64_t count = random_below(random, 8); count > 0; --count) {
        disk->apply(random_change(disk->bytes(), scan.edges, 600u << 10, random));
      }
    }
    const auto captured = capture(*disk, parent, random);
    ASSERT_OK(captured);
    scan = full_scan(disk->bytes());
    ASSERT_EQ(captured->record.root, scan.root);
    if (i % 10 == 5) {
      ASSERT_TRUE(std::ranges::equal(read_disk(*store_, captured->record.root).value(), disk->bytes()));
    }
    if (parent) {
      bytes_read += captured->bytes_read;
      data_bytes += captured->record.data_bytes;
    }
    parent = captured->record.root;
    disk->forget_changes();
  }
  EXPECT_LT(bytes_read, data_bytes) << "the parent was of use";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRecuts, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace atelier::image
