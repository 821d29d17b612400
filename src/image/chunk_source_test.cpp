#include "image/chunk_source.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "image/directory_bucket.h"
#include "image/faulty_bucket.h"
#include "image/memory_bucket.h"
#include "image/store_test_parts.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

// A store over a bucket that can be told to fail, with one image.
class ChunkSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto bucket = std::make_unique<FaultyBucket>(std::make_unique<MemoryBucket>(), FaultPlan{});
    bucket_ = bucket.get();
    auto store = Store::create(std::move(bucket), {folder_.path() / "index", folder_.path() / "lock"},
                               {.pack_bytes_max = kSmallPacks});
    ASSERT_OK(store);
    store_ = std::move(*store);
    disk_ = random_disk(11, 6 * kMiB);
    const auto record = write_disk(*store_, disk_);
    ASSERT_OK(record);
    root_ = record->root;
    const std::vector<Digest> segments = segments_of(*store_, root_).value();
    for (const Digest& segment : segments) {
      if (segment.is_zero()) continue;
      const Segment decoded = read_segment(*store_, segment, disk_.size()).value();
      for (const SegmentEntry& entry : decoded.entries) {
        if (!entry.is_hole() && std::ranges::find(chunks_, entry.chunk) == chunks_.end())
          chunks_.push_back(entry.chunk);
      }
    }
    bucket_->restart({});
  }

  static ChunkSourceOptions options() { return {.cache = {}, .pause = std::chrono::milliseconds(1), .heal_from = {}}; }
  // A second store with the same image.
  std::filesystem::path other_region() const {
    const auto folder = folder_.path() / "other";
    const auto other = create_directory_store(folder);
    EXPECT_OK(other);
    EXPECT_OK(write_disk(**other, disk_));
    return folder;
  }
  void lose_all_packs() {
    const std::vector<BucketEntry> packs = bucket_->list("packs/").value();
    for (const BucketEntry& pack : packs) EXPECT_OK(bucket_->erase(pack.name));
  }

  const TestFolder folder_;
  FaultyBucket* bucket_ = nullptr;
  std::unique_ptr<Store> store_;
  Disk disk_;
  Digest root_;
  std::vector<Digest> chunks_;
};

TEST_F(ChunkSourceTest, ThirtyReadersTogetherReadEveryChunkOnce) {
  bucket_->restart({.delay = std::chrono::microseconds(300)});
  ChunkSource source(*store_, options());
  std::vector<std::jthread> readers;
  for (int i = 0; i < 30; ++i) {
    readers.emplace_back([&] {
      const auto reader = ImageReader::open(source, root_);
      ASSERT_OK(reader);
      Disk disk(disk_.size());
      EXPECT_OK((*reader)->read(0, disk));
      EXPECT_TRUE(disk == disk_);
    });
  }
  readers.clear();
  EXPECT_EQ(source.counts().store_chunks, chunks_.size() + 2) << "the chunks, the segment and the root";
  EXPECT_LT(source.counts().store_reads, source.counts().store_chunks) << "neighbours are read together";
}

TEST_F(ChunkSourceTest, TheCacheFileSparesTheStoreAfterARestart) {
  auto with_cache = options();
  with_cache.cache = DiskCacheOptions{.file = folder_.path() / "cache", .bytes_max = 64 * kMiB};
  for (const bool is_first : {true, false}) {
    ChunkSource source(*store_, with_cache);
    const auto reader = ImageReader::open(source, root_);
    ASSERT_OK(reader);
    Disk disk(disk_.size());
    ASSERT_OK((*reader)->read(0, disk));
    EXPECT_TRUE(disk == disk_);
    EXPECT_EQ(source.counts().store_chunks, is_first ? chunks_.size() + 2 : 0);
    EXPECT_EQ(source.counts().cache_file_chunks, is_first ? 0 : chunks_.size() + 2);
  }
}

TEST_F(ChunkSourceTest, ACacheFileThatCannotBeUsedIsDoneWithout) {
  auto with_cache = options();
  with_cache.cache = DiskCacheOptions{.file = folder_.path() / "no folder" / "cache"};
  ChunkSource source(*store_, with_cache);
  EXPECT_FALSE(source.has_cache_file());
  EXPECT_OK(source.fetch(chunks_.front()));
}

TEST_F(ChunkSourceTest, AStoreThatFailsNowAndThenIsAskedAgain) {
  for (std::uint64_t fail_at = 0; fail_at < 3; ++fail_at) {
    ChunkSource source(*store_, options());
    bucket_->restart({.fail_at = fail_at, .afterwards = FaultPlan::Afterwards::kWorks});
    for (const Digest& id : chunks_) EXPECT_OK(source.fetch(id));
    EXPECT_EQ(source.counts().failed_chunks, 0U);
  }
}

TEST_F(ChunkSourceTest, AStoreThatFailsForGoodIsGivenUpAfterAFewAttempts) {
  ChunkSource source(*store_, options());
  bucket_->restart({.fail_at = 0, .code = Code::kUnavailable});
  const auto fetched = source.fetch(chunks_.front());
  ASSERT_FALSE(fetched.has_value());
  EXPECT_EQ(fetched.error().code(), Code::kUnavailable);
  EXPECT_EQ(source.counts().retries, options().attempts - 1);
  bucket_->restart({});
  EXPECT_OK(source.fetch(chunks_.front())) << "and is asked anew by the next reader";
}

TEST_F(ChunkSourceTest, WhatIsLostComesFromAnotherRegion) {
  auto healing = options();
  healing.heal_from = {folder_.path() / "nowhere", other_region()};
  lose_all_packs();
  ChunkSource source(*store_, healing);
  const auto reader = ImageReader::open(source, root_);
  ASSERT_OK(reader);
  Disk disk(disk_.size());
  ASSERT_OK((*reader)->read(0, disk));
  EXPECT_TRUE(disk == disk_);
  EXPECT_EQ(source.counts().healed_chunks, chunks_.size() + 2);
}

TEST_F(ChunkSourceTest, WhatIsLostEverywhereIsAnErrorForItsReadersOnly) {
  lose_all_packs();
  ChunkSource source(*store_, options());
  const auto fetched = source.fetch(chunks_);
  ASSERT_FALSE(fetched.has_value());
  EXPECT_EQ(fetched.error().code(), Code::kDataLoss);
  const Disk more = random_disk(12, kMiB);
  const auto record = write_disk(*store_, more);
  ASSERT_OK(record);
  EXPECT_OK(source.fetch(record->root));
}

TEST_F(ChunkSourceTest, JobsAreBoundedAndEndWithIt) {
  auto few = options();
  few.threads = 1;
  few.jobs_max = 3;
  std::atomic<int> done = 0;
  std::atomic<bool> may_go = false;
  {
    ChunkSource source(*store_, few);
    int taken = 0;
    for (int i = 0; i < 10; ++i) {
      taken += source.run_in_background([&] {
        while (!may_go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        ++done;
      });
    }
    EXPECT_GE(taken, 3);
    EXPECT_LE(taken, 4) << "one that runs, and three that wait";
    may_go = true;
  }
  EXPECT_LE(done, 4);
}

}  // namespace
}  // namespace atelier::image
