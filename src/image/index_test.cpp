#include "image/index.h"

#include <gtest/gtest.h>

#include "image/directory_bucket.h"
#include "image/image_record.h"
#include "image/index_environment.h"
#include "image/store_test_parts.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

class IndexTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto store = create_directory_store(path(), {.pack_bytes_max = kSmallPacks});
    ASSERT_OK(store);
    root_ = write_disk(**store, disk_).value().root;
    chunks_ = store_stats(**store).value().chunks;
  }
  std::filesystem::path path() const { return folder_.path() / "store"; }
  std::filesystem::path index() const { return path() / "index"; }

  void expect_whole(Access access) {
    const auto store = open_directory_store(path(), access);
    ASSERT_OK(store);
    EXPECT_EQ(store_stats(**store).value().chunks, chunks_);
    EXPECT_EQ(read_disk(**store, root_).value(), disk_);
  }

  TestFolder folder_;
  const Disk disk_ = random_disk(21, 4u << 20);
  Digest root_;
  std::uint64_t chunks_ = 0;
};

TEST_F(IndexTest, IsMadeAgainByAWriterWhenDeleted) {
  std::filesystem::remove_all(index());
  expect_whole(Access::kReadWrite);
}

TEST_F(IndexTest, IsMadeAgainByAReaderWhenDeletedAndNobodyWrites) {
  std::filesystem::remove_all(index());
  expect_whole(Access::kReadOnly);
}

TEST_F(IndexTest, IsNotTrustedAfterAPowerCutInTheMiddleOfWrites) {
  EXPECT_TRUE(Index::is_trusted(index()));
  std::ofstream(index() / "unsynced") << "another-boot\n";
  EXPECT_FALSE(Index::is_trusted(index()));
  const auto before = identity_of(index_data_file(index())).value();
  expect_whole(Access::kReadWrite);
  EXPECT_NE(identity_of(index_data_file(index())).value(), before);
  EXPECT_TRUE(Index::is_trusted(index()));
  EXPECT_FALSE(std::filesystem::exists(index() / "unsynced"));
}

TEST_F(IndexTest, IsKeptAfterAProcessDied) {
  ASSERT_OK(mark_unsynced(index(), "killed"));
  const auto before = identity_of(index_data_file(index())).value();
  expect_whole(Access::kReadWrite);
  EXPECT_EQ(identity_of(index_data_file(index())).value(), before);
}

TEST_F(IndexTest, IsMadeAgainWhenItIsGarbageOrAnotherStores) {
  std::ofstream(index_data_file(index())) << std::string(8192, 'x');
  expect_whole(Access::kReadWrite);
  const TestFolder other_folder;
  {
    ASSERT_OK(create_directory_store(other_folder.path() / "store"));
  }
  std::filesystem::remove_all(index());
  std::filesystem::copy(other_folder.path() / "store" / "index", index(), std::filesystem::copy_options::recursive);
  expect_whole(Access::kReadOnly);
}

TEST_F(IndexTest, LearnsOfPacksWhoseWriterDiedBeforeItIndexedThem) {
  const TestFolder aside;
  std::filesystem::copy(index(), aside.path() / "old", std::filesystem::copy_options::recursive);
  Disk more = random_disk(22, 3u << 20);
  Digest root;
  {
    const auto store = open_directory_store(path(), Access::kReadWrite).value();
    root = write_disk(*store, more).value().root;
  }
  std::filesystem::remove_all(index());
  std::filesystem::copy(aside.path() / "old", index(), std::filesystem::copy_options::recursive);
  {
    const auto reader = open_directory_store(path(), Access::kReadOnly).value();
    EXPECT_EQ(read_disk(*reader, root).value(), more);  // looked for after the first miss
  }
  const auto store = open_directory_store(path(), Access::kReadWrite).value();
  EXPECT_EQ(read_disk(*store, root).value(), more);
}

TEST_F(IndexTest, ForgetsAPackThatIsGoneSoThatItsChunksAreStoredAgain) {
  const auto entries = DirectoryBucket::open(path(), Access::kReadOnly).value()->list("packs/").value();
  ASSERT_GE(entries.size(), 3u);
  std::filesystem::remove(path() / entries[1].name);
  const auto store = open_directory_store(path(), Access::kReadWrite).value();
  EXPECT_EQ(read_disk(*store, root_).error().code(), Code::kDataLoss);
  TaskContext task;
  EXPECT_FALSE(verify_store(*store, {}, task).value().clean());
  EXPECT_EQ(write_disk(*store, disk_).value().root, root_);
  EXPECT_EQ(read_disk(*store, root_).value(), disk_);
  EXPECT_TRUE(verify_store(*store, {}, task).value().clean());
}

TEST_F(IndexTest, LeavesABadPackOutAndNamesIt) {
  const auto entries = DirectoryBucket::open(path(), Access::kReadOnly).value()->list("packs/").value();
  std::filesystem::resize_file(path() / entries[0].name, entries[0].size_bytes - 1);
  std::filesystem::remove_all(index());
  const auto store = open_directory_store(path(), Access::kReadWrite);
  ASSERT_OK(store);
  TaskContext task;
  const auto report = verify_store(**store, {}, task).value();
  ASSERT_FALSE(report.clean());
  EXPECT_TRUE(std::ranges::any_of(report.problems, [&](const Problem& p) { return p.object == entries[0].name; }));
  EXPECT_TRUE(std::ranges::any_of(report.problems, [&](const Problem& p) { return p.object.starts_with("images/"); }));
}

TEST_F(IndexTest, FollowsASweepOnceAndTakesOnlyTheSweptPacksOut) {
  const TestFolder folder;
  const auto index = Index::create(folder.path() / "index", {.store_id = "x", .map_bytes = 1u << 20}).value();
  const auto entries_of = [](std::uint64_t first, std::uint64_t count) {
    std::vector<PackEntry> entries(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t number = first + i;
      entries[i] = {.id = sha256(std::as_bytes(std::span(&number, 1))), .offset = 8, .plain_bytes = 1};
    }
    return entries;
  };
  const Digest a{.bytes = {1}};
  const Digest b{.bytes = {2}};
  const Digest c{.bytes = {3}};
  ASSERT_OK(index->add_pack(a, entries_of(0, 100)));
  ASSERT_OK(index->add_pack(b, entries_of(50, 100)));  // 50 of them stay with a
  ASSERT_OK(index->add_pack(c, entries_of(0, 10), {.known = Index::AddOptions::Known::kMoves}));
  const std::vector<RemovedPack> swept{{a, entries_of(0, 100)}, {Digest{.bytes = {9}}, std::nullopt}};
  ASSERT_OK(index->follow_sweep(4, swept));
  EXPECT_EQ(index->generation().value(), 4u);
  EXPECT_FALSE(index->has_pack(a).value());
  EXPECT_TRUE(index->has_pack(b).value());
  const auto all = entries_of(0, 150);
  std::vector<Digest> ids;
  for (const PackEntry& entry : all) ids.push_back(entry.id);
  std::vector<std::optional<ChunkLocation>> places;
  ASSERT_OK(index->locate_all(ids, places));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_EQ(places[i].has_value(), i < 10 || i >= 100);
    if (places[i]) {
      EXPECT_EQ(places[i]->pack, i < 10 ? c : b);
    }
  }
  // An earlier sweep, or the same one, changes nothing any more.
  const std::vector<RemovedPack> late{{b, std::nullopt}};
  ASSERT_OK(index->follow_sweep(4, late));
  EXPECT_TRUE(index->has_pack(b).value());
  EXPECT_EQ(index->add_pack(a, entries_of(0, 100), {.generation = 3}).error().code(), Code::kConflict);
  // Put again by a writer that found its chunks missing: b has had them all the time.
  ASSERT_OK(index->add_pack(b, entries_of(50, 100), {.generation = 4}));
  EXPECT_EQ(index->find(ids[60]).value()->pack, b);
  ASSERT_OK(index->add_pack(a, entries_of(0, 100), {.generation = 4}));
  EXPECT_EQ(index->find(ids[40]).value()->pack, a);
  EXPECT_EQ(index->find(ids[60]).value()->pack, b);
  // Without the footer's words, the index is walked.
  ASSERT_OK(index->follow_sweep(5, late));
  EXPECT_FALSE(index->find(ids[120]).value().has_value());
  EXPECT_TRUE(index->find(ids[49]).value().has_value());
}

TEST_F(IndexTest, RemembersWholeSegmentsUntilASweepIsFollowed) {
  const TestFolder folder;
  const auto index = Index::create(folder.path() / "index", {.store_id = "x", .map_bytes = 1u << 20}).value();
  const Digest segment{.bytes = {1}};
  const std::vector<WholeSegment> segments{{segment, 65536, 4096}};
  ASSERT_OK(index->remember_whole(segments, 7));
  EXPECT_FALSE(index->find_whole(segment).value().has_value()) << "the index is at another generation";
  ASSERT_OK(index->remember_whole(segments, 0));
  const auto found = index->find_whole(segment).value();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->disk_bytes, 65536u);
  EXPECT_EQ(found->data_bytes, 4096u);
  ASSERT_OK(index->follow_sweep(1, {}));
  EXPECT_FALSE(index->find_whole(segment).value().has_value());
}

TEST_F(IndexTest, GrowsItsMapWhenFullWhileOthersRead) {
  const TestFolder folder;
  const Index::Options options{.store_id = "x", .map_bytes = 64u << 10};
  const auto index = Index::create(folder.path() / "index", options).value();
  const auto second = Index::open(folder.path() / "index", options).value();
  std::vector<PackEntry> all;
  for (std::uint64_t p = 0; p < 20; ++p) {
    std::vector<PackEntry> entries(1000);
    for (std::uint64_t i = 0; i < entries.size(); ++i) {
      const std::uint64_t number = p * 1000 + i;
      entries[i].id = sha256(std::as_bytes(std::span(&number, 1)));
      entries[i].offset = static_cast<std::uint32_t>(number);
      entries[i].plain_bytes = 1;
    }
    ASSERT_OK(index->add_pack(sha256(std::as_bytes(std::span(&p, 1))), entries));
    ASSERT_OK(index->add_pack(sha256(std::as_bytes(std::span(&p, 1))), entries));
    all.insert(all.end(), entries.begin(), entries.end());
    const auto found = second->find(entries[500].id);
    ASSERT_OK(found);
    ASSERT_TRUE(found->has_value());
    EXPECT_EQ((*found)->offset, p * 1000 + 500);
  }
  EXPECT_EQ(second->packs().value().size(), 20u);
  std::vector<Digest> ids;
  ids.reserve(all.size() + 1);
  for (const PackEntry& entry : all) ids.push_back(entry.id);
  ids.push_back(sha256({}));
  std::vector<bool> found;
  ASSERT_OK(index->find_all(ids, found));
  EXPECT_EQ(std::ranges::count(found, true), 20000);
  EXPECT_FALSE(found.back());
}

}  // namespace
}  // namespace atelier::image
