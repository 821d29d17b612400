#include "image/disk_cache.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <thread>
#include <vector>

#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

class DiskCacheTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return folder_.path() / "cache"; }
  std::unique_ptr<DiskCache> open(std::uint64_t bytes_max = 64 * kMiB) const {
    auto cache = DiskCache::open({.file = file(), .bytes_max = bytes_max, .lock_wait = std::chrono::milliseconds(0)});
    EXPECT_OK(cache);
    return cache ? std::move(*cache) : nullptr;
  }
  struct Chunk {
    Digest id;
    Disk bytes;
  };
  static Chunk make_chunk(std::uint64_t seed) {
    Random random(seed);
    Disk bytes(4096 * (1 + seed * 7 % 20) - (seed % 5 == 0 ? 100 : 0));
    fill_random(random, bytes);
    return {sha256(bytes), bytes};
  }
  // The same for the same number, from any thread.
  static const Chunk& chunk(std::uint64_t seed) {
    static const std::vector<Chunk> made = [] {
      std::vector<Chunk> chunks;
      for (std::uint64_t i = 0; i < 1000; ++i) chunks.push_back(make_chunk(i));
      return chunks;
    }();
    return made.at(seed);
  }

  // Puts chunks [first, last) in.
  static void fill(DiskCache& cache, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t i = first; i < last; ++i) {
      cache.insert(chunk(i).id, chunk(i).bytes);
    }
  }
  // How many of [first, last) are there; all that are must be right.
  static std::size_t count_right(DiskCache& cache, std::uint64_t first, std::uint64_t last) {
    std::size_t count = 0;
    for (std::uint64_t i = first; i < last; ++i) {
      const auto found = cache.find(chunk(i).id);
      if (!found) continue;
      EXPECT_TRUE(*found == chunk(i).bytes) << i;
      ++count;
    }
    return count;
  }

  const TestFolder folder_;
};

TEST_F(DiskCacheTest, GivesBackWhatWasPutInAlsoAfterARestart) {
  {
    const auto cache = open();
    fill(*cache, 0, 150);
    EXPECT_EQ(count_right(*cache, 0, 150), 150U);
    EXPECT_EQ(count_right(*cache, 150, 160), 0U);
  }
  {
    const auto cache = open();
    EXPECT_EQ(cache->size(), 150U);
    EXPECT_EQ(count_right(*cache, 0, 150), 150U);
    fill(*cache, 150, 300);
  }
  const auto cache = open();
  EXPECT_EQ(count_right(*cache, 0, 300), 300U);
}

TEST_F(DiskCacheTest, StaysWithinItsBoundAndKeepsWhatIsUsed) {
  const std::uint64_t bytes_max = 17 * kMiB;
  const auto cache = open(bytes_max);
  fill(*cache, 0, 20);
  for (std::uint64_t i = 20; i < 1000; ++i) {
    fill(*cache, i, i + 1);
    ASSERT_EQ(count_right(*cache, 0, 20), 20U) << "they are used all the time; after " << i;
  }
  EXPECT_LE(std::filesystem::file_size(file()), bytes_max);
  EXPECT_LT(count_right(*cache, 20, 300), 100U) << "but for those that lie beside used ones";
  EXPECT_EQ(count_right(*cache, 980, 1000), 20U);
}

TEST_F(DiskCacheTest, IsCutWhenItsBoundIsMadeSmaller) {
  fill(*open(), 0, 400);
  EXPECT_GT(std::filesystem::file_size(file()), 12 * kMiB);
  const auto cache = open(10 * kMiB);
  EXPECT_LE(std::filesystem::file_size(file()), 10 * kMiB);
  EXPECT_GT(count_right(*cache, 0, 400), 20U);
}

TEST_F(DiskCacheTest, AByteChangedAnywhereCostsOneChunkAndNeverGivesWrongBytes) {
  fill(*open(), 0, 100);
  const std::uint64_t size = std::filesystem::file_size(file());
  Random random(7);
  std::vector<std::uint64_t> places;
  for (std::uint64_t at = 0; at < 60; ++at) places.push_back(at);                        // mark
  for (int i = 0; i < 60; ++i) places.push_back(4096 + random_below(random, 100 * 48));  // table
  for (int i = 0; i < 60; ++i) places.push_back(random_below(random, size));             // chunks
  for (const std::uint64_t at : places) {
    flip_bit(file(), at, static_cast<unsigned>(random_below(random, 8)));
    const auto cache = open(1024 * kMiB);  // nothing is thrown out
    const std::size_t right = count_right(*cache, 0, 100);
    if (right < 100) fill(*cache, 0, 100);
    ASSERT_EQ(count_right(*cache, 0, 100), 100U) << "it is mended by putting in again; byte " << at;
  }
}

TEST_F(DiskCacheTest, BytesThatChangeWhileItIsOpenAreFound) {
  const auto cache = open();
  fill(*cache, 0, 1);
  EXPECT_EQ(count_right(*cache, 0, 1), 1U);
  flip_bit(file(), 4096 + 48 * 1024 + 10, 3);
  EXPECT_EQ(count_right(*cache, 0, 1), 0U);
  EXPECT_FALSE(cache->contains(chunk(0).id));
}

TEST_F(DiskCacheTest, AFileOfAnotherKindBeginsAnew) {
  std::ofstream(file()) << std::string(9 * kMiB, 'x');
  const auto cache = open();
  EXPECT_EQ(cache->size(), 0U);
  fill(*cache, 0, 50);
  EXPECT_EQ(count_right(*cache, 0, 50), 50U);
}

TEST_F(DiskCacheTest, OneProcessUsesItAtATime) {
  const auto cache = open();
  const auto second = DiskCache::open({.file = file(), .lock_wait = std::chrono::milliseconds(0)});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), Code::kConflict);
}

// A limit on the length of files does what a full disk does.
TEST_F(DiskCacheTest, WhenItCannotGrowItGoesOnWithTheRoomItHas) {
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small{.rlim_cur = 10 * kMiB, .rlim_max = limit.rlim_max};
  const auto cache = open();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  fill(*cache, 0, 1000);
  const std::size_t late = count_right(*cache, 950, 1000);
  const std::uint64_t size = std::filesystem::file_size(file());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  ::signal(SIGXFSZ, before);
  EXPECT_LE(size, 10 * kMiB);
  EXPECT_EQ(late, 50U) << "older chunks make room";
  count_right(*cache, 0, 1000);
}

TEST_F(DiskCacheTest, ManyThreadsInATooSmallFileGetRightBytesOrNone) {
  const auto cache = open(9 * kMiB);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Random random(t);
      for (int i = 0; i < 400; ++i) {
        const std::uint64_t seed = random_below(random, 400);
        if (count_right(*cache, seed, seed + 1) == 0) fill(*cache, seed, seed + 1);
      }
    });
  }
}

}  // namespace
}  // namespace atelier::image
