// A store against a small model of it: random operations, with crashes in between. The seed of a failure is printed;
// ATELIER_IMAGE_SEED runs it again, ATELIER_IMAGE_OPERATIONS sets how many.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "image/copy.h"
#include "image/directory_bucket.h"
#include "image/faulty_bucket.h"
#include "image/fsck.h"
#include "image/image_record.h"
#include "image/removed_image.h"
#include "image/store_test_parts.h"
#include "image/sweep.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

constexpr StoreOptions kOptions{.pack_bytes_max = 16u << 10, .index_map_bytes = 1u << 20};
constexpr std::size_t kDisks = 40;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
  return text == nullptr ? otherwise : std::stoull(text);
}

// A few grains; many disks share some.
Disk tiny_disk(std::size_t number) {
  Disk disk;
  for (std::size_t grain = 0; grain < 1 + number % 4; ++grain) {
    Random random(number < 20 ? number / 2 + grain : number * 100 + grain);
    Disk bytes(4096);
    fill_random(random, std::span(bytes).first(1 + random_below(random, 4096)));
    disk.insert(disk.end(), bytes.begin(), bytes.end());
  }
  disk.erase(disk.end() - static_cast<std::ptrdiff_t>(number % 3 * 512), disk.end());
  return disk;
}

// What the store must be like. An image whose last operation failed may be in either state, but whole.
struct Model {
  std::set<std::size_t> images, removed, uncertain;
};

class RandomOperations {
 public:
  RandomOperations(std::filesystem::path folder, std::uint64_t seed) : folder_(std::move(folder)), random_(seed) {
    for (std::size_t i = 0; i < kDisks; ++i) disks_.push_back(tiny_disk(i));
    const auto other = create_directory_store(folder_ / "other", kOptions).value();
    for (std::size_t i = 0; i < kDisks; ++i) {
      roots_.push_back(write_disk(*other, disks_[i]).value().root);
      numbers_[roots_[i]] = i;
    }
    EXPECT_EQ(numbers_.size(), kDisks);
    other_ = open_directory_store(folder_ / "other", Access::kReadOnly, kOptions).value();
    EXPECT_OK(create_directory_store(folder_ / "store", kOptions));
    open();
  }

  void run(std::uint64_t operations) {
    for (std::uint64_t i = 0; i < operations && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("operation " + std::to_string(i));
      step();
    }
    crash();
    compare();
    TaskContext task;
    EXPECT_TRUE(verify_store(*store_, {.threads = 1}, task).value().clean());
  }
  std::uint64_t crashes() const { return crashes_; }
  std::uint64_t sweeps() const { return sweeps_; }

 private:
  void step() {
    const std::uint64_t dice = random_below(random_, 1000);
    const std::size_t number = random_below(random_, kDisks);
    if (dice < 30) return put(number);
    if (dice < 40) return copy(number);
    if (dice < 65) return remove(number);
    if (dice < 75) return undelete(number);
    if (dice < 85) return sweep();
    if (dice < 88) return crash();
    if (dice < 90) return bucket_->restart({.fail_at = random_below(random_, 40), .effect = random_effect()});
    if (dice < 95) return compare();
    if (dice < 96) return check();
    get(number);
  }

  FaultPlan::Effect random_effect() {
    return random_below(random_, 2) == 0 ? FaultPlan::Effect::kNothingHappens : FaultPlan::Effect::kHappensUnseen;
  }

  void open() {
    const auto path = folder_ / "store";
    auto faulty = std::make_unique<FaultyBucket>(DirectoryBucket::open(path, Access::kReadWrite).value(), FaultPlan{});
    bucket_ = faulty.get();
    auto opened = Store::open(std::move(faulty), {.index_folder = path / "index", .lock_file = path / "lock"},
                              Access::kReadWrite, kOptions);
    ASSERT_OK(opened);
    store_ = std::move(*opened);
  }

  // Whatever runs is dropped; what was not sure is looked at.
  void crash() {
    store_.reset();
    open();
    ++crashes_;
    for (const std::size_t number : model_.uncertain) {
      model_.images.erase(number);
      model_.removed.erase(number);
      if (find_image(*store_, roots_[number]).value()) model_.images.insert(number);
    }
    for (const RemovedImage& removed : taken(list_removed(*store_))) {
      const std::size_t number = numbers_.at(removed.root);
      if (model_.uncertain.contains(number)) model_.removed.insert(number);
    }
    model_.uncertain.clear();
  }

  // The bucket is lost: the caller's operation may have happened. Else it is a failure of the store.
  bool is_lost(const Error& error, std::size_t number) {
    EXPECT_GT(bucket_->counts().failures, 0u) << error.message();
    model_.uncertain.insert(number);
    crash();
    return true;
  }

  void put(std::size_t number) {
    const auto writer = ImageWriter::begin(*store_, disks_[number].size(), {.label = "x", .threads = 1}).value();
    Status done = writer->append_data(disks_[number]);
    const Result<ImageRecord> record = done ? writer->finish() : fail(done.error());
    if (!record) return void(is_lost(record.error(), number));
    EXPECT_EQ(record->root, roots_[number]);
    model_.images.insert(number);
  }

  void copy(std::size_t number) {
    TaskContext task;
    const auto copied = copy_image(*other_, *store_, roots_[number], task);
    if (!copied) return void(is_lost(copied.error(), number));
    model_.images.insert(number);
  }

  void remove(std::size_t number) {
    const Status removed = remove_image(*store_, roots_[number]);
    if (!removed) return void(is_lost(removed.error(), number));
    if (model_.images.erase(number) > 0) model_.removed.insert(number);
  }

  void undelete(std::size_t number) {
    const auto back = undelete_image(*store_, roots_[number]);
    if (!back && back.error().code() == Code::kNotFound && bucket_->counts().failures == 0) {
      EXPECT_FALSE(model_.removed.contains(number));
      return;
    }
    if (!back) return void(is_lost(back.error(), number));
    // One that was removed before it was written again may be there without being listed.
    EXPECT_TRUE(model_.removed.contains(number) || model_.images.contains(number));
    model_.removed.erase(number);
    model_.images.insert(number);
  }

  void sweep() {
    ++sweeps_;
    TaskContext task;
    const bool forgets = random_below(random_, 3) == 0;
    const SweepOptions options{.brake = SweepOptions::Brake::kOff,
                               .purge_after = std::chrono::hours(random_below(random_, 2)),
                               .removed_kept_for = std::chrono::hours(forgets ? 0 : 1)};
    const auto report = sweep_store(*store_, options, task);
    const bool lost = bucket_->counts().failures > 0;
    if (forgets) {
      // Each is gone, or not, when it failed.
      if (lost) model_.uncertain.insert(model_.removed.begin(), model_.removed.end());
      if (!lost) std::erase_if(model_.removed, [&](std::size_t n) { return !model_.images.contains(n); });
    }
    if (lost) return crash();
    ASSERT_OK(report);
    for (const Problem& problem : report->problems) ADD_FAILURE() << problem.object << ": " << problem.what;
  }

  void get(std::size_t number) {
    const auto disk = read_disk(*store_, roots_[number]);
    if (disk) {
      EXPECT_EQ(*disk, disks_[number]);
      EXPECT_TRUE(model_.images.contains(number));
      return;
    }
    if (bucket_->counts().failures > 0) return crash();
    EXPECT_EQ(disk.error().code(), Code::kNotFound) << disk.error().message();
    EXPECT_FALSE(model_.images.contains(number));
  }

  // The lists are the model's.
  void compare() {
    const auto records = list_images(*store_);
    const auto gone = list_removed(*store_);
    if (bucket_->counts().failures > 0) return crash();
    std::set<std::size_t> images;
    std::set<std::size_t> removed;
    for (const ImageRecord& record : taken(records)) images.insert(numbers_.at(record.root));
    for (const RemovedImage& image : taken(gone)) removed.insert(numbers_.at(image.root));
    EXPECT_EQ(images, model_.images);
    std::set<std::size_t> expected;
    std::ranges::set_difference(model_.removed, model_.images, std::inserter(expected, expected.end()));
    EXPECT_EQ(removed, expected);
  }

  void check() {
    TaskContext task;
    const auto report = fsck_store(*store_, task);
    if (bucket_->counts().failures > 0) return crash();
    for (const Problem& problem : taken(report).problems) {
      // A crash may leave some of an ended epoch, for the next sweep to take away.
      if (problem.object.starts_with("kept/") || problem.object.starts_with("trash/")) continue;
      ADD_FAILURE() << problem.object << ": " << problem.what;
    }
  }

  const std::filesystem::path folder_;
  Random random_;
  std::vector<Disk> disks_;
  std::vector<Digest> roots_;
  std::map<Digest, std::size_t> numbers_;
  std::unique_ptr<Store> other_, store_;
  FaultyBucket* bucket_ = nullptr;
  Model model_;
  std::uint64_t crashes_ = 0, sweeps_ = 0;
};

TEST(RandomOperationsTest, GiveWhatTheModelSays) {
  const std::uint64_t seed = setting("ATELIER_IMAGE_SEED", std::random_device{}());
  const std::uint64_t operations = setting("ATELIER_IMAGE_OPERATIONS", 100000);
  SCOPED_TRACE("seed " + std::to_string(seed));
  const TestFolder folder;
  RandomOperations store(folder.path(), seed);
  store.run(operations);
  EXPECT_GT(store.crashes(), operations / 1000);
  EXPECT_GT(store.sweeps(), operations / 1000);
}

}  // namespace
}  // namespace atelier::image
