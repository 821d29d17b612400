#include "image/store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "image/image_record.h"
#include "image/index.h"
#include "image/store_test_parts.h"
#include "image/tree.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = create_directory_store(path(), {.pack_bytes_max = kSmallPacks});
    ASSERT_OK(created);
    store_ = std::move(*created);
  }
  std::filesystem::path path() const { return folder_.path() / "store"; }

  TestFolder folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, GivesBackRandomSparseDisksBitForBit) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    const std::size_t bytes = (1 + seed) * 700000 / 512 * 512;
    const Disk disk = random_disk(seed, bytes);
    const auto record = write_disk(*store_, disk, "seed", seed);
    ASSERT_OK(record);
    EXPECT_EQ(record->disk_bytes, bytes);
    EXPECT_EQ(read_disk(*store_, record->root).value(), disk);
  }
}

TEST_F(StoreTest, GivesEqualDisksOneRootHoweverTheyComeAndStoresThemOnce) {
  const Disk disk = random_disk(5, 5u << 20);
  const auto first = write_disk(*store_, disk, "one", 1);
  const auto second = write_disk(*store_, disk, "two", 2);
  ASSERT_OK(first);
  ASSERT_OK(second);
  EXPECT_EQ(*second, *first);
  const auto writer = ImageWriter::begin(*store_, disk.size(), {.label = "three", .threads = 1}).value();
  ASSERT_OK(writer->append_data(disk));
  const std::uint64_t packs = store_stats(*store_).value().packs;
  EXPECT_EQ(writer->finish().value().root, first->root);
  EXPECT_EQ(writer->counts().bytes_new, 0u);
  EXPECT_EQ(writer->counts().bytes_known, first->data_bytes);
  EXPECT_EQ(store_stats(*store_).value().packs, packs);

  const auto other = create_directory_store(folder_.path() / "other").value();
  EXPECT_EQ(write_disk(*other, disk, "four", 3).value().root, first->root);
}

// Roots are what other stores and databases name images by: they may not change within format 1.
TEST_F(StoreTest, NamesADiskAsFormat1Does) {
  EXPECT_EQ(write_disk(*store_, random_disk(42, 3u << 20)).value().root.hex(),
            "7e930080a03abc3ace7a176832533141c183ea44f77de8ad9c238f83d10510a2");
  EXPECT_EQ(write_disk(*store_, Disk(1u << 20)).value().root.hex(),
            "7c8c206d1a5bedf087c65305f9aa9658eb50d45c122014db76a26b0c4131bcc1");
}

TEST_F(StoreTest, StoresAFileThatIsTwiceOnTheDiskOnce) {
  Random random(9);
  const Disk file = random_file(random, 400000);
  Disk disk(4u << 20);
  std::ranges::copy(file, disk.begin());
  std::ranges::copy(file, disk.begin() + (2 << 20));
  const auto record = write_disk(*store_, disk).value();
  EXPECT_EQ(record.data_bytes, 2 * record.new_bytes);
  EXPECT_EQ(read_disk(*store_, record.root).value(), disk);
}

TEST_F(StoreTest, KeepsNoBytesForHoles) {
  const auto writer = ImageWriter::begin(*store_, 1ull << 40, {}).value();
  ASSERT_OK(writer->append_hole((1ull << 40) - 4096));
  ASSERT_OK(writer->append_data(Disk(4096, std::byte{7})));
  const auto record = writer->finish().value();
  EXPECT_EQ(record.data_bytes, 4096u);
  EXPECT_LT(record.stored_bytes, 16384u);
  const auto reader = ImageReader::open(*store_, record.root).value();
  const auto extents = reader->extents(0, 1ull << 40).value();
  const std::vector<Extent> expected{{Extent::Kind::kHole, 0, (1ull << 40) - 4096},
                                     {Extent::Kind::kData, (1ull << 40) - 4096, 4096}};
  EXPECT_EQ(extents, expected);
}

TEST_F(StoreTest, TakesSegmentsOverWithTheRootOfAFullScan) {
  const std::size_t bytes = 3 * kSegmentBytes + 20992;
  Disk disk(bytes);
  const auto put = [&](std::uint64_t seed, std::size_t at) {
    const Disk part = random_disk(seed, 1u << 20);
    std::ranges::copy(part, disk.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(1, 0);
  put(2, kSegmentBytes - (1u << 19));
  put(3, 3 * kSegmentBytes - (1u << 20));
  disk.back() = std::byte{1};
  const auto parent = write_disk(*store_, disk).value();
  const auto segments = segments_of(*store_, parent.root).value();
  ASSERT_EQ(segments.size(), 4u);

  put(4, kSegmentBytes + (4u << 20));  // a change in the second segment
  const auto writer = ImageWriter::begin(*store_, bytes, {}).value();
  ASSERT_OK(writer->append_known_segment(0, segments[0]));
  ASSERT_OK(writer->append_data(std::span(disk).subspan(kSegmentBytes, kSegmentBytes)));
  ASSERT_OK(writer->append_known_segment(2, segments[2]));
  ASSERT_OK(writer->append_known_segment(3, segments[3]));
  const auto taken_over = writer->finish().value();

  const auto other = create_directory_store(folder_.path() / "other").value();
  const auto full = write_disk(*other, disk).value();
  EXPECT_EQ(taken_over.root, full.root);
  EXPECT_EQ(taken_over.data_bytes, full.data_bytes);
  EXPECT_LT(taken_over.new_bytes, 1100000u);
  EXPECT_EQ(read_disk(*store_, taken_over.root).value(), disk);
}

TEST_F(StoreTest, TakesASegmentForWholeOnlyWhileItHasItsChunks) {
  const Disk disk = random_disk(9, 4u << 20);
  const auto image = write_disk(*store_, disk).value();
  const Digest segment = segments_of(*store_, image.root).value().front();
  const auto whole = store_->find_whole_segment(segment).value();
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->disk_bytes, disk.size());
  EXPECT_EQ(whole->data_bytes, image.data_bytes);
  EXPECT_TRUE(store_->index().find_whole(segment).value().has_value()) << "remembered when the image was committed";

  // The pack of the disk's first chunk is lost: the index is made anew, and remembers nothing.
  const Digest first = read_segment(*store_, segment, disk.size()).value().entries.front().chunk;
  const Digest id = first.is_zero() ? read_segment(*store_, segment, disk.size()).value().entries[1].chunk : first;
  ASSERT_OK(store_->bucket().erase(pack_name(store_->index().find(id).value()->pack)));
  store_.reset();
  store_ = open_directory_store(path(), Access::kReadWrite).value();
  EXPECT_FALSE(store_->find_whole_segment(segment).value().has_value());
  const auto writer = ImageWriter::begin(*store_, disk.size(), {}).value();
  EXPECT_EQ(writer->append_known_segment(0, segment).error().code(), Code::kNotFound);
}

TEST_F(StoreTest, LentBytesGiveTheImageThatCopiedOnesGive) {
  const Disk disk = random_disk(31, 9u << 20);
  const std::span<const std::byte> bytes(disk);
  const Digest root = write_disk(*store_, disk).value().root;
  const auto writer = ImageWriter::begin(*store_, disk.size(), {.label = "lent", .threads = 2}).value();
  // Not where grains or chunks end, and longer than a batch.
  ASSERT_OK(writer->append_lent(bytes.first(5000000)));
  ASSERT_OK(writer->append_lent(bytes.subspan(5000000, 77)));
  ASSERT_FALSE(writer->at_chunk_boundary());
  const Disk elsewhere(bytes.begin() + 5000077, bytes.end());
  EXPECT_EQ(writer->append_lent(elsewhere).error().code(), Code::kInvalidArgument);
  ASSERT_OK(writer->append_data(std::span(elsewhere).first(3000000)));
  ASSERT_OK(writer->append_data(std::span(elsewhere).subspan(3000000)));
  EXPECT_EQ(writer->finish().value().root, root);
}

TEST_F(StoreTest, TakesOverAChunkUnreadOnlyWhereAChunkMayBegin) {
  const Disk disk = random_disk(8, 2u << 20);
  const auto parent = write_disk(*store_, disk).value();
  const Segment segment = read_segment(*store_, segments_of(*store_, parent.root).value().front(), disk.size()).value();
  const auto writer = ImageWriter::begin(*store_, disk.size(), {}).value();
  for (std::size_t i = 0; i < segment.entries.size(); ++i) {
    const SegmentEntry& entry = segment.entries[i];
    if (entry.is_hole()) {
      ASSERT_OK(writer->append_hole(entry.bytes));
    } else if (i % 3 != 0) {
      ASSERT_OK(writer->append_known_chunk(entry.chunk, entry.bytes));
    } else {
      const auto bytes = std::span(disk).subspan(writer->position(), entry.bytes);
      ASSERT_OK(writer->append_data(bytes.first(1000)));
      EXPECT_FALSE(writer->at_chunk_boundary());
      EXPECT_EQ(writer->append_known_chunk(entry.chunk, entry.bytes).error().code(), Code::kInvalidArgument);
      ASSERT_OK(writer->append_data(bytes.subspan(1000)));
    }
  }
  EXPECT_EQ(writer->finish().value(), parent);

  const auto refusing = ImageWriter::begin(*store_, 2 * kSegmentBytes, {}).value();
  const Digest chunk = sha256({});
  EXPECT_FALSE(refusing->append_known_chunk(chunk, 0).has_value());
  EXPECT_FALSE(refusing->append_known_chunk(chunk, 5000).has_value()) << "ends inside a grain";
  EXPECT_FALSE(refusing->append_known_chunk(chunk, kDataChunkBytesMax + kGrainBytes).has_value());
  ASSERT_OK(refusing->append_hole(kSegmentBytes - kGrainBytes));
  EXPECT_FALSE(refusing->append_known_chunk(chunk, 2 * kGrainBytes).has_value()) << "crosses a segment's end";
}

TEST_F(StoreTest, RefusesWhatDoesNotMakeADisk) {
  EXPECT_EQ(ImageWriter::begin(*store_, 0, {}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(ImageWriter::begin(*store_, kDiskBytesMax + 1, {}).error().code(), Code::kTooLarge);
  EXPECT_EQ(ImageWriter::begin(*store_, 1, {.label = std::string(1025, 'x')}).error().code(), Code::kInvalidArgument);
  const auto writer = ImageWriter::begin(*store_, 2 * kSegmentBytes, {}).value();
  EXPECT_EQ(writer->append_known_segment(1, sha256({})).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(writer->append_known_segment(0, sha256({})).error().code(), Code::kNotFound);
  EXPECT_EQ(writer->append_hole(2 * kSegmentBytes + 1).error().code(), Code::kInvalidArgument);
  ASSERT_OK(writer->append_hole(5000));
  EXPECT_EQ(writer->finish().error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(list_images(*store_).value().empty());
}

TEST_F(StoreTest, ShowsNoImageOfAWriterThatGaveUp) {
  const Disk disk = random_disk(1, 8u << 20);
  {
    const auto writer = ImageWriter::begin(*store_, disk.size(), {}).value();
    ASSERT_OK(writer->append_data(std::span(disk).first(disk.size() - 100)));
  }
  EXPECT_TRUE(list_images(*store_).value().empty());
  EXPECT_EQ(read_disk(*store_, write_disk(*store_, disk).value().root).value(), disk);
}

TEST_F(StoreTest, ReadsAnyRangeAndTellsWhereTheHolesAre) {
  const Disk disk = random_disk(77, 9u << 20);
  const auto root = write_disk(*store_, disk).value().root;
  const auto reader = ImageReader::open(*store_, root, {.chunk_cache_bytes = 1u << 20, .segments_cached = 1}).value();
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t offset = random_below(random, disk.size());
    Disk into(random_below(random, std::min<std::uint64_t>(disk.size() - offset, 200000) + 1));
    ASSERT_OK(reader->read(offset, into));
    EXPECT_TRUE(std::ranges::equal(into, std::span(disk).subspan(offset, into.size())));
  }
  Disk one(1);
  EXPECT_EQ(reader->read(disk.size(), one).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(reader->read(UINT64_MAX, one).error().code(), Code::kInvalidArgument);
  EXPECT_OK(reader->read(disk.size(), {}));

  std::uint64_t at = 1000;
  while (at < disk.size()) {
    const auto extents = reader->extents(at, disk.size() - at, 3).value();
    ASSERT_FALSE(extents.empty());
    EXPECT_LE(extents.size(), 3u);
    for (const Extent& extent : extents) {
      EXPECT_EQ(extent.offset, at);
      const auto bytes = std::span(disk).subspan(extent.offset, extent.bytes);
      const bool zero = std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
      if (extent.kind == Extent::Kind::kHole) {
        EXPECT_TRUE(zero);
      }
      if (extent.kind == Extent::Kind::kData && extent.bytes >= 8192) {
        EXPECT_FALSE(zero);
      }
      at += extent.bytes;
    }
  }
  EXPECT_EQ(at, disk.size());
}

TEST_F(StoreTest, ReadsFromManyThreads) {
  const Disk disk = random_disk(8, 6u << 20);
  const auto root = write_disk(*store_, disk).value().root;
  const auto reader = ImageReader::open(*store_, root, {.chunk_cache_bytes = 300000, .segments_cached = 1}).value();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Random random(t);
      for (int i = 0; i < 100; ++i) {
        Disk into(50000);
        const std::uint64_t offset = random_below(random, disk.size() - into.size());
        if (!reader->read(offset, into)) ++wrong;
        if (!std::ranges::equal(into, std::span(disk).subspan(offset, into.size()))) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(StoreTest, TakesImagesFromTwoThreadsAtOnceWhileAReaderLooksOn) {
  const auto watching = open_directory_store(path(), Access::kReadOnly).value();
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::atomic<int> failed{0};
  for (std::uint64_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 3; ++i) {
        // Half of the disks are the other thread's as well.
        const Disk disk = random_disk(i == 0 ? 100 : 200 + 10 * t + i, 3u << 20);
        const auto record = write_disk(*store_, disk);
        if (!record) {
          ++failed;
          continue;
        }
        const auto seen = read_disk(*watching, record->root);
        if (!seen || *seen != disk) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(list_images(*watching).value().size(), 5u);
  TaskContext task;
  EXPECT_TRUE(verify_store(*watching, {}, task).value().clean());
}

TEST_F(StoreTest, TakesSeveralWritersAndNeverBlocksReaders) {
  const Disk disk = random_disk(4, 2u << 20);
  {
    const auto second = open_directory_store(path(), Access::kReadWrite);
    ASSERT_OK(second);
    const auto half = write_disk(**second, std::span(disk).first(1u << 20));
    const auto whole = write_disk(*store_, disk);
    ASSERT_OK(half);
    ASSERT_OK(whole);
    EXPECT_LT(whole->new_bytes, whole->data_bytes);
    EXPECT_EQ(read_disk(**second, whole->root).value(), disk);
  }
  EXPECT_EQ(rebuild_directory_index(path(), {.lock_wait = std::chrono::milliseconds(30)}).error().code(),
            Code::kConflict);
  const auto reader = open_directory_store(path(), Access::kReadOnly);
  ASSERT_OK(reader);
  EXPECT_EQ(ImageWriter::begin(**reader, 4096, {}).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(remove_image(**reader, sha256({})).error().code(), Code::kFailedPrecondition);
  store_.reset();
  EXPECT_OK(open_directory_store(path(), Access::kReadWrite));
}

TEST_F(StoreTest, ListsFindsAndRemovesImages) {
  const auto a = write_disk(*store_, random_disk(1, 1u << 20), "a \"quoted\" \xC3\xA9").value();
  const auto b = write_disk(*store_, random_disk(2, 1u << 20), "b").value();
  EXPECT_EQ(list_images(*store_).value().size(), 2u);
  EXPECT_EQ(find_image(*store_, a.root).value(), a);
  EXPECT_EQ(find_image(*store_, sha256({})).value(), std::nullopt);
  EXPECT_OK(remove_image(*store_, a.root));
  EXPECT_OK(remove_image(*store_, a.root));
  EXPECT_EQ(list_images(*store_).value(), std::vector<ImageRecord>{b});
  EXPECT_EQ(ImageReader::open(*store_, a.root).error().code(), Code::kNotFound);
  EXPECT_EQ(segments_of(*store_, a.root).error().code(), Code::kNotFound);
}

TEST_F(StoreTest, IsCreatedOnceAndKnowsOnlyItsFormat) {
  const std::string id = store_->id();
  store_.reset();
  EXPECT_EQ(create_directory_store(path()).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(open_directory_store(path(), Access::kReadOnly).value()->id(), id);
  EXPECT_EQ(open_directory_store(folder_.path() / "none", Access::kReadWrite).error().code(), Code::kNotFound);
  EXPECT_EQ(open_directory_store(folder_.path(), Access::kReadWrite).error().code(), Code::kNotFound);
  std::ofstream(path() / "format.json") << R"({"format":2,"storeId":"x","cutting":"file-tail-1"})";
  EXPECT_EQ(open_directory_store(path(), Access::kReadOnly).error().code(), Code::kUnsupported);
  std::ofstream(path() / "format.json") << "{";
  EXPECT_EQ(open_directory_store(path(), Access::kReadOnly).error().code(), Code::kDataLoss);
}

TEST_F(StoreTest, CountsWhatItHolds) {
  const Disk disk = random_disk(3, 4u << 20);
  const auto record = write_disk(*store_, disk).value();
  const auto stats = store_stats(*store_).value();
  EXPECT_EQ(stats.images, 1u);
  EXPECT_EQ(stats.disk_bytes, disk.size());
  EXPECT_EQ(stats.data_bytes, record.data_bytes);
  EXPECT_EQ(stats.stored_bytes, record.stored_bytes);
  EXPECT_GT(stats.pack_bytes, stats.stored_bytes);
  EXPECT_GE(stats.packs, 2u);
  TaskContext task;
  const auto report = verify_store(*store_, {}, task).value();
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.chunks, stats.chunks);
  EXPECT_EQ(report.images, 1u);
}

}  // namespace
}  // namespace atelier::image
