// The sweep beside everything else: what is in use stays, what is not goes, and whatever happens in between.
#include "image/sweep.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "image/fsck.h"
#include "image/image_record.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/quarantine.h"
#include "image/removed_image.h"
#include "image/store_test_parts.h"
#include "image/sweep_test_parts.h"
#include "image/trash.h"
#include "image/tree.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

class SweepTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = create_directory_store(path(), kSweptStore);
    ASSERT_OK(created);
    store_ = std::move(*created);
  }
  std::filesystem::path path() const { return folder_.path() / "store"; }

  SweepReport sweep(const SweepOptions& options = kAtOnce) {
    TaskContext task;
    const auto report = sweep_store(*store_, options, task);
    EXPECT_OK(report);
    return report.value_or(SweepReport{});
  }
  static void expect_sound(Store& store) {
    TaskContext task;
    const auto checked = fsck_store(store, task);
    ASSERT_OK(checked);
    for (const Problem& problem : checked->problems) ADD_FAILURE() << problem.object << ": " << problem.what;
    const auto verified = verify_store(store, {}, task);
    ASSERT_OK(verified);
    for (const Problem& problem : verified->problems) ADD_FAILURE() << problem.object << ": " << problem.what;
  }
  std::size_t pack_count() const { return store_->bucket().list(kPackPrefix).value().size(); }
  Result<std::unique_ptr<Store>> open_again(Access access = Access::kReadWrite) const {
    return open_directory_store(path(), access, kSweptStore);
  }

  TestFolder folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(SweepTest, ThrowsAwayWhatNoImageNeedsAndPurgesItAtTheNextSweep) {
  const Disk kept = random_disk(1, 3u << 20);
  const Disk removed = random_disk(2, 3u << 20);
  const Digest root = write_disk(*store_, kept).value().root;
  const std::size_t packs = pack_count();
  const Digest gone = write_disk(*store_, removed).value().root;
  EXPECT_TRUE(sweep().dead.empty());
  ASSERT_OK(remove_image(*store_, gone));
  const SweepReport first = sweep();
  EXPECT_TRUE(first.clean());
  EXPECT_FALSE(first.dead.empty());
  EXPECT_EQ(first.forgotten, std::vector<Digest>{gone});
  EXPECT_TRUE(first.purged.empty());
  expect_sound(*store_);
  const SweepReport second = sweep();
  EXPECT_GE(second.purged.size(), first.dead.size());
  EXPECT_EQ(read_disk(*store_, root).value(), kept);
  expect_sound(*store_);
  // The two may share a pack, which was written anew.
  EXPECT_LE(pack_count(), packs + 1);
  EXPECT_EQ(sweep().chunks, sweep().chunks_in_use);
}

TEST_F(SweepTest, WritesPacksAnewOfWhichLittleIsInUse) {
  // Small disks share a pack; most of them are removed.
  std::vector<std::pair<Digest, Disk>> images;
  Disk all;
  for (std::uint64_t i = 0; i < 8; ++i) {
    Disk part = random_disk(100 + i, 200000 / 4096 * 4096);
    all.insert(all.end(), part.begin(), part.end());
    images.emplace_back(Digest{}, std::move(part));
  }
  const Digest whole = write_disk(*store_, all).value().root;
  // Written later, so that their chunks are those of the large disk.
  for (auto& [root, disk] : images) root = write_disk(*store_, disk).value().root;
  for (std::size_t i = 1; i < images.size(); ++i) ASSERT_OK(remove_image(*store_, images[i].first));
  ASSERT_OK(remove_image(*store_, whole));
  const auto reader = open_again(Access::kReadOnly).value();
  const SweepReport report = sweep();
  EXPECT_TRUE(report.clean());
  EXPECT_FALSE(report.rewritten.empty());
  EXPECT_EQ(read_disk(*reader, images[0].first).value(), images[0].second);
  sweep();
  EXPECT_EQ(read_disk(*reader, images[0].first).value(), images[0].second);
  expect_sound(*store_);
  const auto stats = store_stats(*store_).value();
  EXPECT_LE(stats.pack_bytes, 2 * images[0].second.size());
}

// G1: what a writer found in the store is there when it commits, though it was swept in between.
TEST_F(SweepTest, AWriterThatReusesWhatIsSweptMeanwhileCommitsAWholeImage) {
  const Disk disk = random_disk(3, 4u << 20);
  const Digest root = write_disk(*store_, disk).value().root;
  ASSERT_OK(remove_image(*store_, root));
  const auto second = open_again().value();  // as another process would
  const auto writer = ImageWriter::begin(*second, disk.size(), {.label = "again", .threads = 1}).value();
  ASSERT_OK(writer->append_data(std::span(disk).first(2u << 20)));
  EXPECT_FALSE(sweep().dead.empty());
  ASSERT_OK(writer->append_data(std::span(disk).subspan(2u << 20)));
  const auto record = writer->finish();
  ASSERT_OK(record);
  EXPECT_EQ(record->root, root);
  sweep();
  sweep();
  EXPECT_EQ(read_disk(*store_, root).value(), disk);
  expect_sound(*store_);
}

TEST_F(SweepTest, AWriterWhoseChunksWerePurgedMeanwhileFailsAndShowsNoImage) {
  Disk disk(6u << 20);
  Random random(3);
  fill_random(random, disk);
  ASSERT_OK(remove_image(*store_, write_disk(*store_, disk).value().root));
  const auto writer = ImageWriter::begin(*store_, disk.size(), {.label = "again", .threads = 1}).value();
  ASSERT_OK(writer->append_data(std::span(disk).first(disk.size() - 1)));
  while (writer->counts().bytes_done < (1u << 20)) std::this_thread::yield();
  sweep();
  sweep();
  ASSERT_OK(writer->append_data(std::span(disk).last(1)));
  EXPECT_EQ(writer->finish().error().code(), Code::kDataLoss);
  EXPECT_TRUE(list_images(*store_).value().empty());
  const auto record = write_disk(*store_, disk);
  ASSERT_OK(record);
  EXPECT_EQ(read_disk(*store_, record->root).value(), disk);
  sweep();
  sweep();
  expect_sound(*store_);
}

// The same disk again gives the very packs that lie in the trash.
TEST_F(SweepTest, APackThatIsWrittenAgainWhileItIsInTheTrashIsInUseAgain) {
  const Disk disk = random_disk(4, 2u << 20);
  const Digest root = write_disk(*store_, disk, "test", 9).value().root;
  ASSERT_OK(remove_image(*store_, root));
  const SweepReport swept = sweep();
  ASSERT_FALSE(swept.dead.empty());
  EXPECT_EQ(write_disk(*store_, disk, "test", 9).value().root, root);
  sweep();
  sweep();
  EXPECT_EQ(read_disk(*store_, root).value(), disk);
  expect_sound(*store_);
}

// G2: a clock that is set changes nothing while the machine runs.
TEST_F(SweepTest, DoesNotPurgeEarlyWhenTheClockIsSet) {
  const Stamp then = Stamp::now();
  Stamp later = then;
  later.at += std::chrono::hours(48);
  later.boot_seconds += 10;
  EXPECT_LE(then.age_at(later), std::chrono::seconds(10));
  later.at -= std::chrono::hours(96);
  EXPECT_EQ(then.age_at(later), std::chrono::seconds(0));
  later.boot_id = "another";
  EXPECT_EQ(then.age_at(later), std::chrono::seconds(0));
  later.at = then.at + std::chrono::hours(48);
  later.boot_seconds = 0;
  EXPECT_EQ(then.age_at(later), std::chrono::hours(48));

  ASSERT_OK(remove_image(*store_, write_disk(*store_, random_disk(5, 1u << 20)).value().root));
  SweepOptions options = kAtOnce;
  options.purge_after = std::chrono::hours(24);
  EXPECT_FALSE(sweep(options).dead.empty());
  EXPECT_TRUE(sweep(options).purged.empty());
  EXPECT_FALSE(sweep().purged.empty());
}

// G3: what cannot be read or erased is named, and the rest is done.
TEST_F(SweepTest, NamesAPackThatItCannotHandleAndDoesTheRest) {
  const Digest root = write_disk(*store_, random_disk(6, 8u << 20)).value().root;
  ASSERT_OK(remove_image(*store_, root));
  const SweepReport first = sweep();
  ASSERT_GE(first.dead.size(), 3u);
  const std::string stuck = pack_name(first.dead[1]);
  // A folder that is not empty cannot be erased, whoever tries.
  std::filesystem::remove(path() / stuck);
  std::filesystem::create_directories(path() / stuck / "x");
  const SweepReport second = sweep();
  ASSERT_EQ(second.problems.size(), 1u);
  EXPECT_EQ(second.problems[0].object, stuck);
  EXPECT_EQ(second.purged.size(), first.dead.size() - 1);
  std::filesystem::remove_all(path() / stuck);
  EXPECT_TRUE(sweep().clean());
  expect_sound(*store_);
}

TEST_F(SweepTest, LeavesADamagedPackOfWhichLittleIsInUseWhereItIs) {
  Disk disk = random_disk(7, 3u << 20);
  const Digest whole = write_disk(*store_, disk).value().root;
  disk.resize(1u << 16);
  const Digest root = write_disk(*store_, disk).value().root;
  ASSERT_OK(remove_image(*store_, whole));
  SweepOptions dry = kAtOnce;
  dry.mode = SweepOptions::Mode::kDryRun;
  const SweepReport plan = sweep(dry);
  ASSERT_FALSE(plan.rewritten.empty());
  std::string damaged;
  const Segment segment = read_segment(*store_, read_root(*store_, root).value().segments[0], 1u << 16).value();
  for (const SegmentEntry& entry : segment.entries) {
    if (entry.is_hole() || !damaged.empty()) continue;
    const auto location = store_->index().find(entry.chunk).value().value();
    if (!std::ranges::binary_search(plan.rewritten, location.pack)) continue;
    damaged = pack_name(location.pack);
    flip_bit(path() / damaged, location.offset, 0);
  }
  ASSERT_FALSE(damaged.empty());
  TaskContext task;
  const auto report = sweep_store(*store_, kAtOnce, task);
  ASSERT_OK(report);
  ASSERT_FALSE(report->clean());
  EXPECT_EQ(report->problems[0].object, damaged);
  ASSERT_EQ(plan.rewritten.size(), 2u);
  EXPECT_TRUE(report->rewritten.empty());  // the other one is so small that it comes out as it went in
  EXPECT_EQ(report->dead, plan.dead);
  EXPECT_TRUE(std::filesystem::exists(path() / damaged));
  EXPECT_EQ(read_disk(*store_, root).error().code(), Code::kDataLoss);
}

TEST_F(SweepTest, ASmallPackThatComesOutAsItWentInStays) {
  // So small that its frame is more than half of it.
  const Digest root = write_disk(*store_, random_disk(17, 512)).value().root;
  const Digest pack = store_->index().find(root).value()->pack;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(sweep().rewritten.empty());
  EXPECT_EQ(store_->index().find(root).value()->pack, pack);
  expect_sound(*store_);
}

// G4, G5.
TEST_F(SweepTest, ADryRunSaysWhatGoesAndTheBrakeHoldsWhatIsMoreThanHalf) {
  const Digest small = write_disk(*store_, random_disk(8, 1u << 20)).value().root;
  const Digest large = write_disk(*store_, random_disk(9, 4u << 20)).value().root;
  ASSERT_OK(remove_image(*store_, large));
  SweepOptions options = kAtOnce;
  options.mode = SweepOptions::Mode::kDryRun;
  const auto reader = open_again(Access::kReadOnly).value();
  TaskContext task;
  const SweepReport plan = sweep_store(*reader, options, task).value();
  EXPECT_FALSE(plan.dead.empty());
  EXPECT_EQ(plan.forgotten, std::vector<Digest>{large});
  EXPECT_GT(plan.bytes_freed, plan.pack_bytes / 2);
  EXPECT_EQ(list_removed(*store_).value().size(), 1u);
  EXPECT_EQ(store_->index().generation().value(), 0u);

  options = kAtOnce;
  options.brake = SweepOptions::Brake::kOn;
  EXPECT_EQ(sweep_store(*store_, options, task).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(list_removed(*store_).value().size(), 1u);
  const SweepReport done = sweep();
  EXPECT_TRUE(std::ranges::includes(plan.dead, done.dead));
  EXPECT_TRUE(std::ranges::includes(plan.rewritten, done.rewritten));
  EXPECT_EQ(done.forgotten, plan.forgotten);
  EXPECT_EQ(done.bytes_freed, plan.bytes_freed);
  EXPECT_OK(read_disk(*store_, small));
  EXPECT_EQ(sweep_store(*reader, kAtOnce, task).error().code(), Code::kFailedPrecondition);
}

// G6: a read that needs what is in the trash gets it, brings it back, and keeps the rest from being purged.
TEST_F(SweepTest, AReadOfWhatIsInTheTrashBringsItBackAndBlocksPurging) {
  const Disk disk = random_disk(10, 3u << 20);
  const Digest root = write_disk(*store_, disk).value().root;
  const auto open_reader = ImageReader::open(*store_, root).value();
  const auto other = open_again(Access::kReadOnly).value();
  const auto other_reader = ImageReader::open(*other, root).value();
  ASSERT_OK(remove_image(*store_, root));
  const SweepReport swept = sweep();
  ASSERT_GE(swept.dead.size(), 2u);
  Disk into(disk.size());
  ASSERT_OK(other_reader->read(0, into));  // it may not write, and still gets the bytes
  EXPECT_EQ(into, disk);
  ASSERT_OK(open_reader->read(0, std::span(into).first(100000)));
  EXPECT_EQ(read_trash(store_->bucket()).value().epochs.back().alarmed, true);
  EXPECT_TRUE(sweep().purged.empty());
  ASSERT_OK(open_reader->read(0, into));
  EXPECT_EQ(into, disk);
}

TEST_F(SweepTest, RefusesWhileAnImageCannotBeRead) {
  const Digest root = write_disk(*store_, random_disk(11, 1u << 20)).value().root;
  ASSERT_OK(remove_image(*store_, write_disk(*store_, random_disk(12, 1u << 20)).value().root));
  const auto location = store_->index().find(root).value().value();
  flip_bit(path() / pack_name(location.pack), location.offset, 3);
  TaskContext task;
  const auto report = sweep_store(*store_, kAtOnce, task);
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code(), Code::kDataLoss);
  EXPECT_NE(report.error().message().find(root.hex()), std::string::npos);
  // Once it is removed it stands in nobody's way.
  ASSERT_OK(remove_image(*store_, root));
  SweepOptions options = kAtOnce;
  options.removed_kept_for = std::chrono::hours(1);
  EXPECT_EQ(sweep(options).problems.size(), 1u);
}

TEST_F(SweepTest, StopsWhenAskedAndIsOneAtATime) {
  ASSERT_OK(remove_image(*store_, write_disk(*store_, random_disk(13, 1u << 20)).value().root));
  std::stop_source stop;
  stop.request_stop();
  TaskContext stopped(stop.get_token(), {});
  EXPECT_EQ(sweep_store(*store_, kAtOnce, stopped).error().code(), Code::kCanceled);
  const auto held = store_->lock_care();
  ASSERT_OK(held);
  TaskContext task;
  EXPECT_EQ(sweep_store(*store_, kAtOnce, task).error().code(), Code::kConflict);
}

TEST_F(SweepTest, BringsARemovedImageBackWhileItIsKept) {
  const Disk disk = random_disk(14, 2u << 20);
  const ImageRecord record = write_disk(*store_, disk, "mine").value();
  EXPECT_EQ(undelete_image(*store_, record.root).error().code(), Code::kNotFound);
  ASSERT_OK(remove_image(*store_, record.root));
  EXPECT_TRUE(list_images(*store_).value().empty());
  ASSERT_EQ(list_removed(*store_).value().size(), 1u);
  EXPECT_EQ(list_removed(*store_).value()[0].record, record);
  SweepOptions options = kAtOnce;
  options.removed_kept_for = std::chrono::hours(1);
  EXPECT_TRUE(sweep(options).dead.empty());
  EXPECT_EQ(undelete_image(*store_, record.root).value(), record);
  EXPECT_EQ(read_disk(*store_, record.root).value(), disk);
  EXPECT_TRUE(list_removed(*store_).value().empty());

  // Its object may be damaged: then its tree tells the record.
  ASSERT_OK(remove_image(*store_, record.root));
  flip_bit(path() / "removed" / record.root.hex(), 20, 1);
  EXPECT_FALSE(list_removed(*store_).value()[0].removed_at.has_value());
  EXPECT_TRUE(sweep().dead.empty());
  const ImageRecord made = undelete_image(*store_, record.root).value();
  EXPECT_EQ(made.data_bytes, record.data_bytes);
  EXPECT_EQ(made.label, "");

  ASSERT_OK(remove_image(*store_, record.root));
  EXPECT_FALSE(sweep().dead.empty());
  EXPECT_EQ(undelete_image(*store_, record.root).error().code(), Code::kNotFound);
}

TEST_F(SweepTest, AnIndexThatIsMadeAgainLeavesTheTrashOut) {
  const Disk disk = random_disk(15, 2u << 20);
  const Digest root = write_disk(*store_, disk).value().root;
  ASSERT_OK(remove_image(*store_, write_disk(*store_, random_disk(16, 2u << 20)).value().root));
  const SweepReport swept = sweep();
  ASSERT_FALSE(swept.dead.empty());
  const std::uint64_t generation = store_->index().generation().value();
  store_.reset();
  const auto packs = rebuild_directory_index(path(), kSweptStore);
  ASSERT_OK(packs);
  store_ = open_again().value();
  EXPECT_EQ(store_->index().generation().value(), generation);
  EXPECT_FALSE(store_->index().has_pack(swept.dead[0]).value());
  EXPECT_EQ(read_disk(*store_, root).value(), disk);
  expect_sound(*store_);
}

TEST_F(SweepTest, FsckNamesWhatDoesNotFit) {
  const Digest root = write_disk(*store_, random_disk(17, 2u << 20)).value().root;
  expect_sound(*store_);
  const auto check = [&] {
    TaskContext task;
    std::set<std::string> objects;
    for (const Problem& problem : taken(fsck_store(*store_, task)).problems) objects.insert(problem.object);
    return objects;
  };
  const auto packs = store_->bucket().list(kPackPrefix).value();
  const std::string first = packs[0].name;
  // A pack that is not indexed, and one that the index names and that is gone.
  const Digest lost = *parse_pack_name(packs[1].name);
  std::filesystem::rename(path() / packs[1].name, folder_.path() / "aside");
  const auto found = check();
  EXPECT_TRUE(found.contains(packs[1].name));
  EXPECT_FALSE(found.contains(first));
  std::filesystem::rename(folder_.path() / "aside", path() / packs[1].name);
  const std::vector<RemovedPack> taken_out{{lost, read_pack_entries(store_->bucket(), lost).value()}};
  ASSERT_OK(store_->index().follow_sweep(1, taken_out));
  EXPECT_EQ(check(), (std::set<std::string>{packs[1].name, image_name(root)}));
  ASSERT_OK(index_unknown_packs(*store_));
  expect_sound(*store_);
  // An entry that the footer does not have.
  PackEntry stray{.id = sha256({}), .offset = 9, .plain_bytes = 1};
  ASSERT_OK(store_->index().add_pack(lost, {&stray, 1}, {.known = Index::AddOptions::Known::kMoves}));
  EXPECT_EQ(check(), std::set<std::string>{packs[1].name});
  std::ofstream(path() / "images" / "stray") << "x";
  EXPECT_TRUE(check().contains("images/stray"));
}

}  // namespace
}  // namespace atelier::image
