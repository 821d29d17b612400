#include "image/read_ahead.h"

#include <gtest/gtest.h>

#include <set>

#include "image/memory_bucket.h"
#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kKiB = 1u << 10;

TEST(ReadStreams, ASequenceIsReadAheadOfInGrowingSteps) {
  ReadStreams streams({}, 100 * kMiB);
  EXPECT_EQ(streams.follow(0, 64 * kKiB), std::nullopt);
  std::uint64_t ahead = 64 * kKiB;
  std::uint64_t longest = 0;
  for (std::uint64_t at = 64 * kKiB; at < 100 * kMiB; at += 64 * kKiB) {
    const auto range = streams.follow(at, 64 * kKiB);
    if (range) {
      EXPECT_EQ(range->offset, std::max(ahead, at + 64 * kKiB)) << "nothing twice, nothing left out";
      ahead = range->offset + range->bytes;
      longest = std::max(longest, ahead - at);
    }
    ASSERT_LE(ahead, 100 * kMiB);
    ASSERT_GE(ahead, std::min(100 * kMiB, at + 64 * kKiB));
  }
  EXPECT_EQ(ahead, 100 * kMiB);
  EXPECT_GT(longest, 7 * kMiB);
  EXPECT_LE(longest, 8 * kMiB + 64 * kKiB);
}

TEST(ReadStreams, ReadsHereAndThereAreLeftAlone) {
  ReadStreams streams({}, 1000 * kMiB);
  for (std::uint64_t i = 0; i < 400; ++i) EXPECT_EQ(streams.follow(i * 37 % 400 * 5 / 2 * kMiB, 4096), std::nullopt);
}

TEST(ReadStreams, ManySequencesAtOnceAreToldApart) {
  ReadStreams streams({}, 1000 * kMiB);
  std::set<std::uint64_t> read_ahead_of;
  for (std::uint64_t step = 0; step < 8; ++step) {
    for (std::uint64_t one = 0; one < 40; ++one) {
      if (streams.follow(one * 20 * kMiB + step * 128 * kKiB, 128 * kKiB)) read_ahead_of.insert(one);
    }
  }
  EXPECT_EQ(read_ahead_of.size(), 40U);
}

TEST(ReadStreams, CanBeTurnedOff) {
  ReadStreams streams({.bytes_max = 0}, 100 * kMiB);
  for (std::uint64_t at = 0; at < 10 * kMiB; at += 64 * kKiB) EXPECT_EQ(streams.follow(at, 64 * kKiB), std::nullopt);
}

class BootTrace : public testing::Test {
 protected:
  static std::vector<std::byte> encoded() { return encode_trace(kRoot, kRuns); }
  static inline const Digest kRoot = sha256(std::as_bytes(std::span("root")));
  static inline const std::vector<GrainRun> kRuns = {{0, 1}, {500, 20}, {3, 2}, {16383, 1}};
  static constexpr std::uint64_t kDiskBytes = 64 * kMiB;
};

TEST_F(BootTrace, IsReadBackAsItWasWritten) {
  const auto runs = decode_trace(kRoot, kDiskBytes, encoded());
  ASSERT_OK(runs);
  EXPECT_EQ(*runs, kRuns);
}

TEST_F(BootTrace, OfAnotherImageOrDiskIsRefused) {
  EXPECT_FALSE(decode_trace(sha256(encoded()), kDiskBytes, encoded()).has_value());
  EXPECT_FALSE(decode_trace(kRoot, kDiskBytes - 4096, encoded()).has_value()) << "it reaches beyond the end";
}

TEST_F(BootTrace, EveryDamagedBitAndEveryCutIsFound) {
  for (std::size_t bit = 0; bit < encoded().size() * 8; ++bit) {
    auto bytes = encoded();
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_FALSE(decode_trace(kRoot, kDiskBytes, bytes).has_value()) << bit;
  }
  for (std::size_t size = 0; size < encoded().size(); ++size) {
    const auto bytes = encoded();
    EXPECT_FALSE(decode_trace(kRoot, kDiskBytes, std::span(bytes).first(size)).has_value()) << size;
  }
}

TEST(TraceRecorder, NotesWhatIsReadOnceAndInOrder) {
  TraceRecorder recorder({.bytes_min = 0});
  recorder.record(8192, 4096);
  recorder.record(12288, 100);
  recorder.record(0, 4097);
  recorder.record(8192, 8192);
  EXPECT_EQ(recorder.trace(), (std::vector<GrainRun>{{2, 2}, {0, 2}}));
}

TEST(TraceRecorder, IsBoundedInBytesAndTime) {
  TraceRecorder recorder({.bytes_max = kMiB, .bytes_min = 0});
  for (std::uint64_t at = 0; at < 10 * kMiB; at += 64 * kKiB) recorder.record(10 * kMiB - at, 4096);
  EXPECT_FALSE(recorder.is_over());
  recorder.record(20 * kMiB, 10 * kMiB);
  EXPECT_TRUE(recorder.is_over());
  std::uint64_t grains = 0;
  const std::vector<GrainRun> runs = recorder.trace().value();
  for (const GrainRun& run : runs) grains += run.count;
  EXPECT_EQ(grains, 256U);

  TraceRecorder late({.duration = std::chrono::milliseconds(0), .bytes_min = 0});
  late.record(0, kMiB);
  EXPECT_TRUE(late.is_over());
  EXPECT_EQ(late.trace().value_or(std::vector<GrainRun>{}).size(), 0U);
}

TEST(TraceRecorder, ALookAtTheDiskOrACopyOfItIsNoBoot) {
  TraceRecorder look({});
  look.record(0, 65536);
  EXPECT_EQ(look.trace(), std::nullopt);
  TraceRecorder copy({});
  copy.record(0, 100 * kMiB);
  EXPECT_EQ(copy.trace(), std::nullopt);
}

TEST(TraceReplay, StaysAheadOfTheGuestWithinItsWindow) {
  std::vector<GrainRun> runs;
  for (std::uint32_t i = 0; i < 100; ++i) runs.push_back({i * 1000, 256});  // 1 MiB each
  TraceReplay replay(runs, 10 * kMiB);
  std::vector<GrainRun> brought;
  const auto bring_all = [&] {
    for (auto some = replay.next(kMiB); !some.empty(); some = replay.next(kMiB)) {
      brought.insert(brought.end(), some.begin(), some.end());
    }
  };
  bring_all();
  EXPECT_EQ(brought.size(), 10U);
  EXPECT_FALSE(replay.follow(0, 4096)) << "that is where the guest was taken to be";
  EXPECT_TRUE(replay.follow(5 * 1000 * 4096ull + 4096, 4096));
  bring_all();
  EXPECT_EQ(brought.size(), 15U);
  EXPECT_FALSE(replay.follow(5 * 1000 * 4096ull + 300 * 4096, 4096)) << "no part of the trace";
  EXPECT_TRUE(replay.follow(90 * 1000 * 4096ull, 4096)) << "it jumps ahead";
  bring_all();
  EXPECT_EQ(brought.size(), 25U);
  EXPECT_EQ(brought.back(), runs.back());
  EXPECT_FALSE(replay.follow(99 * 1000 * 4096ull, 4096));
}

// Threads: a guest that reads in sequence, with a trace, through everything there is.
TEST(ReadAhead, BringsARightDiskWithManyReadersAtOnce) {
  const TestFolder folder;
  const auto store = create_directory_store(folder.path() / "store", {.pack_bytes_max = kSmallPacks});
  ASSERT_OK(store);
  const Disk disk = random_disk(5, 5 * kMiB);
  const auto record = write_disk(**store, disk);
  ASSERT_OK(record);
  for (const bool has_cache : {false, true}) {
    ChunkSourceOptions options{.memory_bytes = 2 * kMiB, .cache = {}, .heal_from = {}};
    if (has_cache) options.cache = DiskCacheOptions{.file = folder.path() / "cache", .bytes_max = 64 * kMiB};
    ChunkSource source(**store, options);
    std::shared_ptr<ImageReader> reader = ImageReader::open(source, record->root).value();
    const auto read_ahead = std::make_shared<ReadAhead>(source, reader, ReadAheadOptions{});
    read_ahead->set_trace({{0, 100}, {900, 300}, {200, 500}}, kMiB);
    read_ahead->start();
    std::vector<std::jthread> guests;
    for (std::size_t guest = 0; guest < 3; ++guest) {
      guests.emplace_back([&] {
        Disk piece(128 * kKiB);
        for (std::size_t at = 0; at < disk.size(); at += piece.size()) {
          read_ahead->follow(at, piece.size());
          EXPECT_OK(reader->read(at, piece));
          EXPECT_TRUE(std::ranges::equal(piece, std::span(disk).subspan(at, piece.size()))) << at;
        }
      });
    }
    guests.clear();
    const ReadCounts& counts = source.counts();
    EXPECT_EQ(counts.failed_chunks, 0U);
    EXPECT_LT(counts.store_reads, counts.store_chunks) << "neighbours are read together";
  }
}

}  // namespace
}  // namespace atelier::image
