// The sweep when a step of it fails, beside writers and readers, and when it is killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <thread>

#include "image/copy.h"
#include "image/directory_bucket.h"
#include "image/faulty_bucket.h"
#include "image/fsck.h"
#include "image/quarantine.h"
#include "image/removed_image.h"
#include "image/sweep.h"
#include "image/sweep_test_parts.h"
#include "image/trash.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

// ---- Fails at every step

// A store with a removed image, something half dead, and something in the trash.
std::vector<std::pair<Digest, Disk>> fill(const std::filesystem::path& path) {
  const auto store = create_directory_store(path, kSweptStore).value();
  std::vector<std::pair<Digest, Disk>> kept;
  Disk all = random_disk(60, 1u << 19);
  const Digest first = write_disk(*store, random_disk(61, 1u << 19)).value().root;
  EXPECT_OK(remove_image(*store, first));
  TaskContext task;
  EXPECT_OK(sweep_store(*store, kAtOnce, task));
  const Digest whole = write_disk(*store, all).value().root;
  Disk part(all.begin(), all.begin() + (1 << 17));
  const Digest root = write_disk(*store, part).value().root;
  kept.emplace_back(root, std::move(part));
  EXPECT_OK(remove_image(*store, whole));
  return kept;
}

TEST(SweepAtEveryStep, LosesNothingAndGoesOn) {
  const TestFolder folder;
  const auto run = [](const std::filesystem::path& path, const FaultPlan& plan) -> std::uint64_t {
    auto inner = DirectoryBucket::open(path, Access::kReadWrite).value();
    auto faulty = std::make_unique<FaultyBucket>(std::move(inner), plan);
    FaultyBucket* const bucket = faulty.get();
    const StoreFiles files{.index_folder = path / "index", .lock_file = path / "lock"};
    const auto store = Store::open(std::move(faulty), files, Access::kReadWrite, kSweptStore);
    if (!store) return 0;  // and the bucket went with it
    TaskContext task;
    const auto report = sweep_store(**store, kAtOnce, task);
    return bucket->counts().operations;
  };
  const auto kept = fill(folder.path() / "filled");
  std::filesystem::copy(folder.path() / "filled", folder.path() / "count", std::filesystem::copy_options::recursive);
  const std::uint64_t operations = run(folder.path() / "count", {});
  ASSERT_GT(operations, 20u);
  using Effect = FaultPlan::Effect;
  using Afterwards = FaultPlan::Afterwards;
  for (const FaultPlan& fault : {FaultPlan{.effect = Effect::kNothingHappens, .afterwards = Afterwards::kFails},
                                 FaultPlan{.effect = Effect::kNothingHappens, .afterwards = Afterwards::kWorks},
                                 FaultPlan{.effect = Effect::kHappensUnseen, .afterwards = Afterwards::kFails}}) {
    for (std::uint64_t at = 0; at < operations; ++at) {
      SCOPED_TRACE("operation " + std::to_string(at) + " of " + std::to_string(operations));
      const auto path = folder.path() / "store";
      std::filesystem::copy(folder.path() / "filled", path, std::filesystem::copy_options::recursive);
      run(path, {.fail_at = at, .effect = fault.effect, .afterwards = fault.afterwards});
      const auto store = open_directory_store(path, Access::kReadWrite, kSweptStore).value();
      for (const auto& [root, disk] : kept) EXPECT_EQ(read_disk(*store, root).value(), disk);
      TaskContext task;
      // What is still listed as removed can be brought back.
      for (const Problem& problem : taken(fsck_store(*store, task)).problems) {
        EXPECT_FALSE(problem.object.starts_with(kRemovedPrefix)) << problem.object << ": " << problem.what;
      }
      for (int i = 0; i < 2; ++i) EXPECT_TRUE(sweep_store(*store, kAtOnce, task).value().clean());
      for (const auto& [root, disk] : kept) EXPECT_EQ(read_disk(*store, root).value(), disk);
      EXPECT_TRUE(fsck_store(*store, task).value().clean());
      const auto stats = store_stats(*store).value();
      EXPECT_LT(stats.pack_bytes, 600000u);
      std::filesystem::remove_all(path);
    }
  }
}

// ---- Writers, readers and sweeps at once

// Writes, removes and reads its own images until told to stop; gives how many wrong things it saw.
int write_and_remove(const std::filesystem::path& path, std::uint64_t seed, int rounds) {
  const auto store = open_directory_store(path, Access::kReadWrite, kSweptStore);
  if (!store) return 1;
  Random random(seed);
  int wrong = 0;
  for (int i = 0; i < rounds; ++i) {
    // Few different disks, so that what one removes another writes again.
    const std::uint64_t number = random_below(random, 6);
    const Disk disk = random_disk(7000 + number, 150000);
    const auto record = write_disk(**store, disk, "loop", number);
    // Purged under its hands: a clean failure.
    if (!record && record.error().code() != Code::kDataLoss && record.error().code() != Code::kConflict) {
      ADD_FAILURE() << record.error().message();
      ++wrong;
    }
    if (!record) continue;
    const auto read = read_disk(**store, record->root);
    // Another may have removed it: then it is not found, or part of it is gone. Never wrong bytes.
    if (read && *read != disk) ++wrong;
    if (random_below(random, 2) == 0 && !remove_image(**store, record->root)) ++wrong;
  }
  return wrong;
}

TEST(SweepBesideWriters, NeverEatsWhatAnImageNeeds) {
  const TestFolder folder;
  const auto path = folder.path() / "store";
  {
    ASSERT_OK(create_directory_store(path, kSweptStore));
  }
  std::atomic<int> wrong{0};
  std::atomic<int> running{3};
  std::vector<std::thread> writers;
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (std::uint64_t t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      wrong += write_and_remove(path, seed + t, 40);
      --running;
    });
  }
  const auto sweeper = open_directory_store(path, Access::kReadWrite, kSweptStore).value();
  int sweeps = 0;
  while (running > 0) {
    TaskContext task;
    const auto report = sweep_store(*sweeper, kAtOnce, task);
    ASSERT_OK(report);
    for (const Problem& problem : report->problems) ADD_FAILURE() << problem.object << ": " << problem.what;
    ++sweeps;
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(sweeps, 3);
  TaskContext task;
  for (int i = 0; i < 2; ++i) EXPECT_OK(sweep_store(*sweeper, kAtOnce, task));
  for (const ImageRecord& record : taken(list_images(*sweeper))) EXPECT_OK(read_disk(*sweeper, record.root));
  for (const Problem& problem : taken(fsck_store(*sweeper, task)).problems) {
    ADD_FAILURE() << problem.object << ": " << problem.what;
  }
  EXPECT_TRUE(verify_store(*sweeper, {}, task).value().clean());
  const auto stats = store_stats(*sweeper).value();
  EXPECT_LE(stats.images, 6u);
}

constexpr const char* kChildFolder = "ATELIER_IMAGE_SWEEP_FOLDER";

// Not a test: what the parent below starts as a process of its own, and kills.
TEST(SweepKilled, DISABLED_ChildSweeps) {
  const char* const folder = std::getenv(kChildFolder);  // NOLINT(concurrency-mt-unsafe): before any thread
  ASSERT_NE(folder, nullptr);
  const auto store = open_directory_store(folder, Access::kReadWrite, kSweptStore);
  ASSERT_OK(store);
  for (;;) {
    TaskContext task;
    ASSERT_OK(sweep_store(**store, kAtOnce, task));
    ASSERT_EQ(::write(3, "x", 1), 1);
  }
}

TEST(SweepKilled, LeavesAWholeStoreToTheWritersOfOtherProcesses) {
  const TestFolder folder;
  const auto path = folder.path() / "store";
  {
    ASSERT_OK(create_directory_store(path, kSweptStore));
  }
  Random random(std::random_device{}());
  for (std::uint64_t round = 0; round < 5; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], 3);
      ::setenv(kChildFolder, path.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): the child has one thread
      ::execl("/proc/self/exe", "image_test", "--gtest_also_run_disabled_tests",
              "--gtest_filter=SweepKilled.DISABLED_ChildSweeps", "--gtest_brief=1", nullptr);
      ::_exit(127);
    }
    ASSERT_GT(child, 0);
    ::close(ends[1]);
    char byte = 0;
    ASSERT_EQ(::read(ends[0], &byte, 1), 1);  // it sweeps
    EXPECT_EQ(write_and_remove(path, random(), 8), 0);
    ::usleep(static_cast<useconds_t>(random_below(random, 20000)));
    ::kill(child, SIGKILL);
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    const auto store = open_directory_store(path, Access::kReadWrite, kSweptStore).value();
    TaskContext task;
    for (const ImageRecord& record : taken(list_images(*store))) EXPECT_OK(read_disk(*store, record.root));
    for (const Problem& problem : taken(fsck_store(*store, task)).problems) {
      // The killed sweep may have been between the two steps of ending an epoch.
      if (!problem.object.starts_with(kKeptPrefix) && !problem.object.starts_with(kTrashPrefix)) {
        ADD_FAILURE() << problem.object << ": " << problem.what;
      }
    }
  }
}

}  // namespace
}  // namespace atelier::image
