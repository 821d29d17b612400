// A writer that fails at each of its steps, or is killed at any moment: what was acknowledged is there, bit for bit;
// what was not is absent or whole; and the work goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <set>

#include "image/directory_bucket.h"
#include "image/faulty_bucket.h"
#include "image/image_record.h"
#include "image/store_test_parts.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

constexpr StoreOptions kOptions{.pack_bytes_max = kSmallPacks};

Result<std::unique_ptr<Store>> open_faulty(const std::filesystem::path& folder, const FaultPlan& plan,
                                           FaultyBucket*& bucket) {
  auto inner = TRY(DirectoryBucket::open(folder, Access::kReadWrite));
  auto faulty = std::make_unique<FaultyBucket>(std::move(inner), plan);
  bucket = faulty.get();
  const StoreFiles files{.index_folder = folder / "index", .lock_file = folder / "lock"};
  return Store::open(std::move(faulty), files, Access::kReadWrite, kOptions);
}

// Opens the store and writes the disks; gives those that were acknowledged.
std::map<Digest, std::size_t> write_all_disks(const std::filesystem::path& folder, const std::vector<Disk>& disks,
                                              const FaultPlan& plan, std::uint64_t* operations) {
  std::map<Digest, std::size_t> acknowledged;
  FaultyBucket* bucket = nullptr;
  const auto store = open_faulty(folder, plan, bucket);
  if (!store) return acknowledged;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const auto record = write_disk(**store, disks[i]);
    if (record) acknowledged.emplace(record->root, i);
  }
  if (operations != nullptr) *operations = bucket->counts().operations;
  return acknowledged;
}

class CrashAtEveryStep : public testing::TestWithParam<FaultPlan> {};

TEST_P(CrashAtEveryStep, LosesNothingAcknowledgedAndShowsNothingTorn) {
  const TestFolder folder;
  std::vector<Disk> disks{random_disk(51, 1500000), random_disk(52, 1u << 20)};
  std::ranges::copy(std::span(disks[0]).first(598016), disks[1].begin());
  std::uint64_t operations = 0;
  {
    ASSERT_OK(create_directory_store(folder.path() / "count", kOptions));
  }
  const auto roots = write_all_disks(folder.path() / "count", disks, {}, &operations);
  ASSERT_EQ(roots.size(), 2u);
  ASSERT_GT(operations, 10u);
  std::uint64_t seen = 0;
  for (std::uint64_t at = 0; at < operations; ++at) {
    SCOPED_TRACE("operation " + std::to_string(at) + " of " + std::to_string(operations));
    const auto path = folder.path() / std::to_string(at);
    {
      ASSERT_OK(create_directory_store(path, kOptions));
    }
    FaultPlan plan = GetParam();
    plan.fail_at = at;
    const auto acknowledged = write_all_disks(path, disks, plan, nullptr);
    {
      const auto store = open_directory_store(path, Access::kReadWrite, kOptions);
      ASSERT_OK(store);
      std::set<Digest> present;
      const auto images = list_images(**store).value();
      for (const ImageRecord& record : images) {
        ASSERT_TRUE(roots.contains(record.root));
        EXPECT_EQ(read_disk(**store, record.root).value(), disks[roots.at(record.root)]);
        present.insert(record.root);
      }
      for (const auto& [root, disk] : acknowledged) EXPECT_TRUE(present.contains(root));
      seen += present.size();
      TaskContext task;
      EXPECT_TRUE(verify_store(**store, {}, task).value().clean());
    }
    EXPECT_EQ(write_all_disks(path, disks, {}, nullptr), roots);
    std::filesystem::remove_all(path);
  }
  EXPECT_GT(seen, 0u);
  EXPECT_LT(seen, operations * 2);
}

std::string fault_name(const testing::TestParamInfo<FaultPlan>& fault) {
  constexpr const char* kNames[] = {"LostBefore", "LostAfter", "FailedOnce"};
  return kNames[fault.index];
}

INSTANTIATE_TEST_SUITE_P(Faults, CrashAtEveryStep,
                         testing::Values(FaultPlan{.effect = FaultPlan::Effect::kNothingHappens,
                                                   .afterwards = FaultPlan::Afterwards::kFails},
                                         FaultPlan{.effect = FaultPlan::Effect::kHappensUnseen,
                                                   .afterwards = FaultPlan::Afterwards::kFails},
                                         FaultPlan{.effect = FaultPlan::Effect::kNothingHappens,
                                                   .afterwards = FaultPlan::Afterwards::kWorks,
                                                   .code = Code::kResourceExhausted}),
                         &fault_name);

constexpr const char* kChildFolder = "ATELIER_IMAGE_TEST_FOLDER";
constexpr std::size_t kChildDiskBytes = 3u << 20;
Disk child_disk(std::uint64_t number) { return random_disk(1000 + number, kChildDiskBytes); }

// Not a test: what the parent below starts as a process of its own, and kills. Writes a byte for each image.
TEST(Killed, DISABLED_ChildWritesImages) {
  const char* const folder = std::getenv(kChildFolder);  // NOLINT(concurrency-mt-unsafe): before any thread
  ASSERT_NE(folder, nullptr);
  const auto store =
      open_directory_store(folder, Access::kReadWrite, {.pack_bytes_max = kSmallPacks, .index_map_bytes = 128u << 10});
  ASSERT_OK(store);
  for (std::uint64_t number = 0; number < 1000; ++number) {
    const auto record = write_disk(**store, child_disk(number), std::to_string(number));
    ASSERT_OK(record);
    ASSERT_EQ(::write(3, record->root.bytes.data(), 32), 32);
  }
}

pid_t start_child(const std::filesystem::path& folder, int result_pipe) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::dup2(result_pipe, 3);
  ::setenv(kChildFolder, folder.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): the child has one thread
  ::execl("/proc/self/exe", "image_test", "--gtest_also_run_disabled_tests",
          "--gtest_filter=Killed.DISABLED_ChildWritesImages", "--gtest_brief=1", nullptr);
  ::_exit(127);
}

TEST(Killed, WriterProcessLosesNoAcknowledgedImage) {
  const TestFolder folder;
  const auto path = folder.path() / "store";
  {
    ASSERT_OK(create_directory_store(path, kOptions));
  }
  // This process looks on all the time, with a map that the child's growth leaves behind.
  const auto watching = open_directory_store(path, Access::kReadOnly, {.index_map_bytes = 128u << 10}).value();
  Random random(std::random_device{}());
  std::set<Digest> acknowledged;
  for (int round = 0; round < 6; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = start_child(path, ends[1]);
    ASSERT_GT(child, 0);
    ::close(ends[1]);
    // It is killed a random moment after it has acknowledged as many images as there have been rounds.
    Digest root;
    int count = 0;
    while (count <= round && ::read(ends[0], root.bytes.data(), 32) == 32) {
      acknowledged.insert(root);
      ++count;
    }
    EXPECT_EQ(count, round + 1);
    ::usleep(static_cast<useconds_t>(random_below(random, 120000)));
    ::kill(child, SIGKILL);
    while (::read(ends[0], root.bytes.data(), 32) == 32) acknowledged.insert(root);
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    for (const Digest& image : acknowledged) {
      const auto record = find_image(*watching, image).value();
      ASSERT_TRUE(record.has_value());
      EXPECT_EQ(read_disk(*watching, image).value(), child_disk(std::stoull(record->label)));
    }
    const auto store = open_directory_store(path, Access::kReadWrite, kOptions);
    ASSERT_OK(store);
    TaskContext task;
    EXPECT_TRUE(verify_store(**store, {}, task).value().clean());
    EXPECT_TRUE(std::filesystem::is_empty(path / ".new"));
  }
}

// The disk is full at first; it is a clean error, and works again as soon as there is room.
TEST(FullDisk, IsACleanErrorOfTheWriter) {
  const TestFolder folder;
  FaultyBucket* bucket = nullptr;
  {
    ASSERT_OK(create_directory_store(folder.path() / "store", kOptions));
  }
  const auto store = open_faulty(folder.path() / "store", {}, bucket);
  ASSERT_OK(store);
  const Disk disk = random_disk(3, 3u << 20);
  bucket->restart({.fail_at = 2, .code = Code::kResourceExhausted});
  EXPECT_EQ(write_disk(**store, disk).error().code(), Code::kResourceExhausted);
  bucket->restart({});
  const auto record = write_disk(**store, disk);
  ASSERT_OK(record);
  EXPECT_LT(record->new_bytes, record->data_bytes);  // what was packed before the disk was full is known
  EXPECT_EQ(read_disk(**store, record->root).value(), disk);
}

}  // namespace
}  // namespace atelier::image
