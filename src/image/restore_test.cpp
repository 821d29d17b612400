#include "image/restore.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <stop_token>

#include "image/directory_bucket.h"
#include "image/faulty_bucket.h"
#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

class RestoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(target().parent_path());
    open_store();
  }
  // The bucket keeps packs open: only a new one misses a file that is gone.
  void open_store() {
    store_.reset();
    auto inner = DirectoryBucket::open(folder_.path() / "store", Access::kReadWrite).value();
    auto faulty = std::make_unique<FaultyBucket>(std::move(inner), FaultPlan{});
    bucket_ = faulty.get();
    const StoreFiles files{.index_folder = folder_.path() / "index", .lock_file = folder_.path() / "lock"};
    const StoreOptions options{.pack_bytes_max = kSmallPacks};
    store_ = (faulty->size("format.json") ? Store::open(std::move(faulty), files, Access::kReadOnly, options)
                                          : Store::create(std::move(faulty), files, options))
                 .value();
  }
  std::filesystem::path target() const { return folder_.path() / "out" / "disk.raw"; }
  std::vector<std::string> left_behind() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(target().parent_path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  TestFolder folder_;
  FaultyBucket* bucket_ = nullptr;
  std::unique_ptr<Store> store_;
  TaskContext task_;
};

Disk read_back(const std::filesystem::path& path) {
  Disk bytes(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  EXPECT_TRUE(file.good());
  return bytes;
}

// The same at both ends, and a hole between.
Result<ImageRecord> write_two_ends(Store& store, std::span<const std::byte> disk, std::size_t end_bytes) {
  const auto writer = TRY(ImageWriter::begin(store, disk.size(), {.label = "ends", .threads = 2}));
  if (disk.size() < 2 * end_bytes) {
    TRY(writer->append_data(disk));
    return writer->finish();
  }
  TRY(writer->append_data(disk.first(end_bytes)));
  TRY(writer->append_hole(disk.size() - 2 * end_bytes));
  TRY(writer->append_data(disk.last(end_bytes)));
  return writer->finish();
}

TEST_F(RestoreTest, WritesTheDiskAsItWasAndLeavesHolesOut) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, std::size_t{7654321}, std::size_t{65U << 20}}) {
    // Data at both ends and across the segment's end, and nothing in between.
    Disk disk(bytes);
    const Disk part = random_disk(40 + bytes, std::min<std::size_t>(bytes, 2U << 20));
    std::ranges::copy(part, disk.begin());
    std::ranges::copy(part, disk.end() - static_cast<std::ptrdiff_t>(part.size()));
    disk.back() = std::byte{1};
    const ImageRecord record = write_two_ends(*store_, disk, part.size()).value();
    for (const std::uint64_t window_bytes : {std::uint64_t{4096}, std::uint64_t{300000}, std::uint64_t{4} << 20}) {
      SCOPED_TRACE(testing::Message() << bytes << " bytes, windows of " << window_bytes);
      ASSERT_OK(restore_raw_file(*store_, record.root, target(), task_, {.threads = 3, .window_bytes = window_bytes}));
      ASSERT_TRUE(read_back(target()) == disk);
      EXPECT_EQ(left_behind(), std::vector<std::string>{"disk.raw"});
      struct stat status{};
      ASSERT_EQ(::stat(target().c_str(), &status), 0);
      EXPECT_LE(static_cast<std::uint64_t>(status.st_blocks) * 512, record.data_bytes + (1U << 20));
    }
  }
}

TEST_F(RestoreTest, ReadsNeighboursInAPackAtOnce) {
  const Disk disk = random_disk(41, 12U << 20);
  const ImageRecord record = write_disk(*store_, disk).value();
  std::vector<Progress> reports;
  TaskContext telling({}, [&](const Progress& progress) { reports.push_back(progress); });
  bucket_->restart({});
  ASSERT_OK(restore_raw_file(*store_, record.root, target(), telling));
  const BucketCounts counts = bucket_->counts();
  const std::uint64_t packs = store_->bucket().list("packs/").value().size();
  ASSERT_GT(packs, 10u);
  EXPECT_LE(counts.gets, 2 * packs + 8);
  EXPECT_LE(counts.bytes_got, record.stored_bytes * 3 / 2);  // some files are there twice
  EXPECT_TRUE(std::ranges::is_sorted(reports, {}, &Progress::bytes_done));
  EXPECT_EQ(reports.back().bytes_done, disk.size());
}

TEST_F(RestoreTest, LeavesNothingBehindWhenAChunkIsWrong) {
  const ImageRecord record = write_disk(*store_, random_disk(42, 3U << 20)).value();
  const auto packs = bucket_->list("packs/").value();
  for (const std::size_t offset : {std::size_t{8}, std::size_t{100000}}) {
    flip_bit(folder_.path() / "store" / packs[0].name, offset, 2);
    EXPECT_EQ(restore_raw_file(*store_, record.root, target(), task_).error().code(), Code::kDataLoss);
    EXPECT_TRUE(left_behind().empty());
    flip_bit(folder_.path() / "store" / packs[0].name, offset, 2);
  }
  ASSERT_OK(restore_raw_file(*store_, record.root, target(), task_));
  std::filesystem::remove(target());
  std::filesystem::remove(folder_.path() / "store" / packs[1].name);
  open_store();
  EXPECT_EQ(restore_raw_file(*store_, record.root, target(), task_).error().code(), Code::kDataLoss);
  EXPECT_TRUE(left_behind().empty());
}

TEST_F(RestoreTest, PassesEveryFailureOfTheMediumOn) {
  const Disk disk = random_disk(43, 4U << 20);
  const ImageRecord record = write_disk(*store_, disk).value();
  const RestoreOptions options{.threads = 2, .window_bytes = 256U << 10};
  bucket_->restart({});
  ASSERT_OK(restore_raw_file(*store_, record.root, target(), task_, options));
  const std::uint64_t operations = bucket_->counts().operations;
  std::filesystem::remove(target());
  for (std::uint64_t at = 0; at < operations; ++at) {
    SCOPED_TRACE(at);
    bucket_->restart({.fail_at = at, .afterwards = FaultPlan::Afterwards::kWorks});
    EXPECT_FALSE(restore_raw_file(*store_, record.root, target(), task_, options).has_value());
    EXPECT_TRUE(left_behind().empty());
  }
}

TEST_F(RestoreTest, StopsWhenAsked) {
  const ImageRecord record = write_disk(*store_, random_disk(44, 4U << 20)).value();
  std::stop_source stop;
  TaskContext stopping(stop.get_token(), [&](const Progress&) { stop.request_stop(); });
  const RestoreOptions options{.threads = 1, .window_bytes = 64U << 10};
  EXPECT_EQ(restore_raw_file(*store_, record.root, target(), stopping, options).error().code(), Code::kCanceled);
  EXPECT_TRUE(left_behind().empty());
}

}  // namespace
}  // namespace atelier::image
