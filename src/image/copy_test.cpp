#include "image/copy.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stop_token>

#include "image/boot_trace.h"
#include "image/directory_bucket.h"
#include "image/faulty_bucket.h"
#include "image/geometry.h"
#include "image/image_record.h"
#include "image/store_test_parts.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

// A store whose bucket fails as told.
struct FaultyStore {
  explicit FaultyStore(const std::filesystem::path& folder) : folder_(folder) { reopen(); }

  void reopen(const FaultPlan& plan = {}) {
    store.reset();
    auto inner = DirectoryBucket::open(folder_, Access::kReadWrite).value();
    auto faulty = std::make_unique<FaultyBucket>(std::move(inner), FaultPlan{});
    bucket = faulty.get();
    const StoreFiles files{.index_folder = folder_ / "index", .lock_file = folder_ / "lock"};
    const StoreOptions options{.pack_bytes_max = kSmallPacks};
    store =
        (faulty->size("format.json").has_value() ? Store::open(std::move(faulty), files, Access::kReadWrite, options)
                                                 : Store::create(std::move(faulty), files, options))
            .value();
    bucket->restart(plan);
  }

  const std::filesystem::path folder_;
  std::unique_ptr<Store> store;
  FaultyBucket* bucket = nullptr;
};

class CopyTest : public testing::Test {
 protected:
  TestFolder folder_;
  FaultyStore from_{folder_.path() / "from"};
  FaultyStore to_{folder_.path() / "to"};
  TaskContext task_;
};

TEST_F(CopyTest, BringsAnImageOverAndSendsNothingTwice) {
  Disk disk = random_disk(1, 5u << 20);
  const auto first = write_disk(*from_.store, disk, "first").value();
  const auto sent = copy_image(*from_.store, *to_.store, first.root, task_);
  ASSERT_OK(sent);
  EXPECT_EQ(sent->bytes_sent, first.stored_bytes);
  EXPECT_EQ(read_disk(*to_.store, first.root).value(), disk);
  EXPECT_EQ(find_image(*to_.store, first.root).value().value().label, "first");
  EXPECT_EQ(find_image(*to_.store, first.root).value().value().data_bytes, first.data_bytes);
  EXPECT_EQ(copy_image(*from_.store, *to_.store, first.root, task_).value().chunks_sent, 0u);

  std::fill_n(disk.begin() + (3 << 20), 10000, std::byte{5});
  const auto second = write_disk(*from_.store, disk, "second").value();
  std::vector<Progress> reports;
  TaskContext telling({}, [&](const Progress& progress) { reports.push_back(progress); });
  const auto more = copy_image(*from_.store, *to_.store, second.root, telling).value();
  EXPECT_LT(more.bytes_sent, sent->bytes_sent / 2);
  EXPECT_EQ(read_disk(*to_.store, second.root).value(), disk);
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back().bytes_done, disk.size());
  EXPECT_EQ(reports.back().bytes_new + reports.back().bytes_known, second.data_bytes);
  EXPECT_TRUE(verify_store(*to_.store, {}, task_).value().clean());
}

// A disk of two equal segments and a third.
Disk long_disk() {
  Disk disk(2 * kSegmentBytes + (4U << 20));
  const Disk part = random_disk(7, 3U << 20);
  for (const std::size_t segment : {0U, 1U}) {
    std::ranges::copy(part, disk.begin() + static_cast<std::ptrdiff_t>(segment * kSegmentBytes));
  }
  Random random(12);
  fill_random(random, std::span(disk).last(2U << 20));
  return disk;
}

// write_disk() looks at every byte of the holes between.
Result<ImageRecord> write_long_disk(Store& store, std::span<const std::byte> disk) {
  const auto writer = TRY(ImageWriter::begin(store, disk.size(), {.label = "long", .threads = 2}));
  for (const std::size_t segment : {0U, 1U}) {
    TRY(writer->append_data(disk.subspan(segment * kSegmentBytes, 4U << 20)));
    TRY(writer->append_hole(kSegmentBytes - (4U << 20)));
  }
  TRY(writer->append_data(disk.last(4U << 20)));
  return writer->finish();
}

TEST_F(CopyTest, ReadsOfTheSourceOnlyWhatTheTargetLacksAndNeighboursAtOnce) {
  Disk disk = long_disk();
  const auto first = write_long_disk(*from_.store, disk).value();
  from_.bucket->restart({});
  const auto all = copy_image(*from_.store, *to_.store, first.root, task_).value();
  EXPECT_EQ(read_disk(*to_.store, first.root).value(), disk);
  EXPECT_EQ(all.bytes_sent, first.stored_bytes);
  const std::uint64_t packs = from_.store->bucket().list("packs/").value().size();
  ASSERT_GT(packs, 4u);
  EXPECT_LE(from_.bucket->counts().bytes_got, all.bytes_sent + 5000);
  EXPECT_LE(from_.bucket->counts().gets, packs + 20);

  std::fill_n(disk.begin() + (2 << 20), 300000, std::byte{5});
  Random random(8);
  fill_random(random, std::span(disk).subspan(3U << 20, 200000));
  const auto second = write_long_disk(*from_.store, disk).value();
  from_.bucket->restart({});
  const auto changed = copy_image(*from_.store, *to_.store, second.root, task_).value();
  EXPECT_EQ(read_disk(*to_.store, second.root).value(), disk);
  EXPECT_EQ(changed.bytes_sent, second.stored_bytes);
  EXPECT_LE(from_.bucket->counts().bytes_got, changed.bytes_sent + 5000);
  EXPECT_LE(from_.bucket->counts().gets, 16u);
}

TEST_F(CopyTest, KeepsSeveralReadsOnTheWay) {
  const Disk disk = random_disk(9, 12U << 20);
  const auto record = write_disk(*from_.store, disk).value();
  from_.bucket->restart({.delay = std::chrono::milliseconds(20)});
  ASSERT_OK(copy_image(*from_.store, *to_.store, record.root, task_, {.in_flight = 4, .batch_bytes = 256U << 10}));
  EXPECT_GE(from_.bucket->counts().at_once, 2u);
  EXPECT_LE(from_.bucket->counts().at_once, 4u);
  EXPECT_EQ(read_disk(*to_.store, record.root).value(), disk);
}

TEST_F(CopyTest, TakesTheBootTraceAlongWhenItIsWhole) {
  const auto record = write_disk(*from_.store, random_disk(10, 2U << 20)).value();
  const std::vector<GrainRun> runs{{3, 20}, {100, 7}};
  ASSERT_OK(from_.store->bucket().put(trace_name(record.root), encode_trace(record.root, runs)));
  ASSERT_OK(copy_image(*from_.store, *to_.store, record.root, task_));
  EXPECT_EQ(read_trace(to_.store->bucket(), record.root, record.disk_bytes).value(), runs);
  // Recorded after the image was copied.
  ASSERT_OK(to_.store->bucket().erase(trace_name(record.root)));
  ASSERT_OK(copy_image(*from_.store, *to_.store, record.root, task_));
  EXPECT_EQ(read_trace(to_.store->bucket(), record.root, record.disk_bytes).value(), runs);

  const auto other = write_disk(*from_.store, random_disk(11, 2U << 20)).value();
  ASSERT_OK(from_.store->bucket().put(trace_name(other.root), encode_trace(record.root, runs)));
  ASSERT_OK(copy_image(*from_.store, *to_.store, other.root, task_));
  EXPECT_EQ(to_.store->bucket().size(trace_name(other.root)).error().code(), Code::kNotFound);
}

TEST_F(CopyTest, SaysWhenThereIsNoSuchImage) {
  EXPECT_EQ(copy_image(*from_.store, *to_.store, sha256({}), task_).error().code(), Code::kNotFound);
}

TEST_F(CopyTest, GoesOnWhereItFailed) {
  const Disk disk = random_disk(2, 6u << 20);
  const auto record = write_disk(*from_.store, disk).value();
  const auto whole = [&] {
    FaultyStore scratch(folder_.path() / "scratch");
    const CopyResult result = copy_image(*from_.store, *scratch.store, record.root, task_).value();
    return std::pair{result, scratch.bucket->counts().operations};
  }();
  ASSERT_GT(whole.second, 6u);
  std::uint64_t failures = 0;
  std::uint64_t sent_less = 0;
  for (std::uint64_t at = 0; at < whole.second; ++at) {
    SCOPED_TRACE(at);
    FaultyStore target(folder_.path() / ("to-" + std::to_string(at)));
    target.bucket->restart({.fail_at = at});
    const auto first = copy_image(*from_.store, *target.store, record.root, task_);
    failures += first ? 0 : 1;
    target.reopen();
    const auto known = find_image(*target.store, record.root).value();
    EXPECT_EQ(first.has_value(), known.has_value());
    const auto second = copy_image(*from_.store, *target.store, record.root, task_);
    ASSERT_OK(second);
    sent_less += second->bytes_sent < whole.first.bytes_sent ? 1 : 0;
    EXPECT_EQ(read_disk(*target.store, record.root).value(), disk);
    EXPECT_TRUE(verify_store(*target.store, {}, task_).value().clean());
  }
  EXPECT_EQ(failures, whole.second);
  EXPECT_GT(sent_less, whole.second / 2);
}

TEST_F(CopyTest, SurvivesASourceThatFails) {
  const Disk disk = random_disk(3, 3u << 20);
  const auto record = write_disk(*from_.store, disk).value();
  from_.bucket->restart({});
  ASSERT_OK(copy_image(*from_.store, *FaultyStore(folder_.path() / "count").store, record.root, task_));
  const std::uint64_t operations = from_.bucket->counts().operations;
  for (std::uint64_t at = 0; at < operations; at += 1 + operations / 12) {
    SCOPED_TRACE(at);
    from_.bucket->restart({.fail_at = at, .afterwards = FaultPlan::Afterwards::kWorks});
    FaultyStore target(folder_.path() / ("to-" + std::to_string(at)));
    EXPECT_FALSE(copy_image(*from_.store, *target.store, record.root, task_).has_value());
    EXPECT_TRUE(list_images(*target.store).value().empty());
    ASSERT_OK(copy_image(*from_.store, *target.store, record.root, task_));
    EXPECT_EQ(read_disk(*target.store, record.root).value(), disk);
  }
}

TEST_F(CopyTest, StopsWhenAsked) {
  const auto record = write_disk(*from_.store, random_disk(4, 2u << 20)).value();
  std::stop_source stop;
  stop.request_stop();
  TaskContext stopped(stop.get_token(), {});
  EXPECT_EQ(copy_image(*from_.store, *to_.store, record.root, stopped).error().code(), Code::kCanceled);
  EXPECT_TRUE(list_images(*to_.store).value().empty());
}

TEST_F(CopyTest, NeverPassesWrongBytesOn) {
  const auto record = write_disk(*from_.store, random_disk(5, 2u << 20)).value();
  const auto packs = from_.store->bucket().list("packs/").value();
  flip_bit(from_.folder_ / packs[0].name, 5000, 3);
  EXPECT_EQ(copy_image(*from_.store, *to_.store, record.root, task_).error().code(), Code::kDataLoss);
  EXPECT_TRUE(list_images(*to_.store).value().empty());
  EXPECT_TRUE(verify_store(*to_.store, {}, task_).value().clean());
}

// The other store lost a pack: bringing the image again heals it.
TEST_F(CopyTest, HealsAStoreThatLostAPack) {
  const Disk disk = random_disk(6, 4u << 20);
  const auto record = write_disk(*from_.store, disk).value();
  ASSERT_OK(copy_image(*from_.store, *to_.store, record.root, task_));
  const auto packs = to_.store->bucket().list("packs/").value();
  std::filesystem::remove(to_.folder_ / packs[1].name);
  to_.reopen();
  EXPECT_FALSE(read_disk(*to_.store, record.root).has_value());
  ASSERT_OK(remove_image(*to_.store, record.root));
  ASSERT_OK(copy_image(*from_.store, *to_.store, record.root, task_));
  EXPECT_EQ(read_disk(*to_.store, record.root).value(), disk);
}

}  // namespace
}  // namespace atelier::image
