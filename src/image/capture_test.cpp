#include "image/capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <set>
#include <stop_token>
#include <vector>

#include "image/disk_server_test_parts.h"
#include "image/file_capture.h"
#include "image/file_mapping.h"
#include "image/geometry.h"
#include "image/image_record.h"
#include "image/restore.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kKiB = 1 << 10;
// Four segments, the last of them short and not of whole grains.
constexpr std::uint64_t kDiskBytes = 3 * kSegmentBytes + 5 * kMiB + 512;

// Puts random bytes into a file, as a generator of `seed` gives them.
void write_random(const std::string& path, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  for (std::uint64_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = random();
    file.write(reinterpret_cast<const char*>(&word),
               static_cast<std::streamsize>(std::min<std::uint64_t>(8, bytes - i)));
  }
}

// A base disk with data in every segment, also across the borders, and holes.
void make_base(const std::string& path) {
  std::ofstream(path).close();
  fs::resize_file(path, kDiskBytes);
  write_random(path, 0, kMiB, 1);
  write_random(path, kSegmentBytes - 700 * kKiB, 2 * kMiB, 2);
  write_random(path, 2 * kSegmentBytes + 30 * kMiB, kMiB + 512, 3);
  write_random(path, kDiskBytes - 100 * kKiB, 100 * kKiB, 4);
}

class Capture : public testing::Test {
 protected:
  void SetUp() override {
    make_base(file("base"));
    auto store = create_directory_store(dir_.path() / "store");
    ASSERT_TRUE(store.has_value()) << store.error().message();
    store_ = std::move(*store);
    base_root_ = root_of_file("base");
  }

  std::string file(const std::string& name) const { return dir_.file(name); }

  Digest root_of_file(const std::string& name) {
    const auto result = capture_raw_file(*store_, file(name), {}, task_);
    EXPECT_TRUE(result.has_value()) << result.error().message();
    return result ? result->record.root : Digest{};
  }

  void make_overlay(std::uint64_t disk_bytes = kDiskBytes) {
    run(fmt::format("qemu-img create -q -f qcow2 -F raw -b {} {} {}", file("base"), file("top"), disk_bytes));
  }

  Result<CaptureResult> capture(const DiskServer& server, std::optional<Digest> parent = {}) {
    return capture_disk(*store_, {.nbd_uri = server.uri(), .parent = parent}, task_);
  }

  const TempDir dir_;
  std::unique_ptr<Store> store_;
  Digest base_root_;
  TaskContext task_;
};

// One random change of a disk as a qemu-io command. Offsets and lengths are whole sectors.
std::string random_change(std::mt19937_64& random, std::uint64_t disk_bytes) {
  const auto below = [&](std::uint64_t bound) { return random() % bound; };
  const std::uint64_t sectors = disk_bytes / 512;
  // Half of them near a segment's border, where mistakes would be.
  std::uint64_t first = below(sectors);
  if (below(2) == 0) {
    const std::uint64_t border = below(4) * (kSegmentBytes / 512);
    first = std::min(sectors - 1, border + below(4096) - std::min<std::uint64_t>(border, 2048));
  }
  const std::uint64_t length = std::min(sectors - first, 1 + below(below(2) == 0 ? 16 : 4096));
  constexpr std::array kKinds = {"write -P {}", "write -P {}", "write -P {}", "write -z", "write -z -u", "discard"};
  const std::string kind = kKinds[below(kKinds.size())];
  const std::string command = fmt::format(fmt::runtime(kind), 1 + below(255));
  return fmt::format(" -c '{} {} {}'", command, first * 512, length * 512);
}

class RandomChanges : public Capture, public testing::WithParamInterface<int> {};

// A few on a disk of four segments; capture_changes_test.cpp has many on smaller ones.
// The root over parent and changes must be the one that a full scan gives, and that of the same bytes in a raw file.
TEST_P(RandomChanges, GiveTheSameRootAsAFullScan) {
  for (int i = 0; i < 10; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam()) * 1000 + static_cast<std::uint64_t>(i);
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937_64 random(seed);
    std::uint64_t disk_bytes = kDiskBytes;
    if (i % 5 == 3) disk_bytes += 512 * (random() % 300000);
    if (i % 5 == 4) disk_bytes -= 512 * (random() % 200000);
    fs::remove(file("top"));
    make_overlay(disk_bytes);
    std::string changes;
    for (std::uint64_t count = random() % 10; count > 0; --count) changes += random_change(random, disk_bytes);
    if (!changes.empty()) run("qemu-io -d unmap -f qcow2" + changes + " " + file("top"));

    const DiskServer server(qemu_nbd(file("top"), file("socket")), file("socket"));
    const auto full = capture(server);
    const auto incremental = capture(server, base_root_);
    ASSERT_TRUE(full.has_value()) << full.error().message();
    ASSERT_TRUE(incremental.has_value()) << incremental.error().message();
    run(fmt::format("qemu-img convert -U -f qcow2 -O raw {} {}", file("top"), file("flat")));
    EXPECT_EQ(incremental->record.root, full->record.root);
    EXPECT_EQ(full->record.root, root_of_file("flat"));
    EXPECT_LE(incremental->bytes_read, full->bytes_read);
    EXPECT_EQ(incremental->record.data_bytes, full->record.data_bytes);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomChanges, testing::Range(0, 2));

TEST_F(Capture, AnUnchangedOverlayIsTakenOverUnread) {
  make_overlay();
  const DiskServer server(qemu_nbd(file("top"), file("socket")), file("socket"));
  const auto result = capture(server, base_root_);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->record.root, base_root_);
  EXPECT_EQ(result->bytes_read, 0U);
}

TEST_F(Capture, OnlyWhatChangedIsRead) {
  make_overlay();
  run("qemu-io -f qcow2 -c 'write -P 9 70M 4k' " + file("top"));
  const DiskServer server(qemu_nbd(file("top"), file("socket")), file("socket"));
  const auto result = capture(server, base_root_);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->bytes_read, 64 * kKiB) << "the cluster with the change";
}

TEST_F(Capture, WithoutAllocationDepthsTheWholeDiskIsRead) {
  fs::copy_file(file("base"), file("changed"));
  write_random(file("changed"), 100 * kMiB, kMiB, 5);
  const DiskServer server(nbdkit_file(file("changed"), file("socket")), file("socket"));
  const auto result = capture(server, base_root_);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->record.root, root_of_file("changed"));
  EXPECT_NE(result->record.root, base_root_);
}

TEST_F(Capture, AParentThatTheStoreLacksIsDoneWithout) {
  make_overlay();
  const DiskServer server(qemu_nbd(file("top"), file("socket")), file("socket"));
  Digest unknown;
  unknown.bytes.fill(7);
  const auto result = capture(server, unknown);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->record.root, base_root_);
  EXPECT_GT(result->bytes_read, 0U);
}

// The rest of a changed chunk comes from the parent, whose first MiB is damaged here: the disk's server has it all.
TEST_F(Capture, AParentThatIsDamagedIsDoneWithout) {
  for (const auto& entry : fs::recursive_directory_iterator(dir_.path() / "store" / "packs")) {
    if (!entry.is_regular_file()) continue;
    for (std::uint64_t at = 8; at < kMiB; at += 4 * kKiB) write_random(entry.path(), at, 8, at);
  }
  make_overlay();
  run("qemu-io -f qcow2 -c 'write -P 9 300k 4k' " + file("top"));
  const DiskServer server(qemu_nbd(file("top"), file("socket")), file("socket"));
  const auto result = capture(server, base_root_);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_GT(result->bytes_read, 3 * kMiB);
  EXPECT_EQ(result->record.root, capture(server)->record.root);
}

TEST_F(Capture, ProgressNamesItsPhasesAndCountsUpToTheDisk) {
  fs::copy_file(file("base"), file("changed"));
  write_random(file("changed"), 100 * kMiB, kMiB, 6);
  const DiskServer server(nbdkit_file(file("changed"), file("socket")), file("socket"));
  std::mutex mutex;
  std::vector<Progress> reports;
  TaskContext task({}, [&](const Progress& progress) {
    const std::lock_guard lock(mutex);
    reports.push_back(progress);
  });
  const auto result = capture_disk(*store_, {.nbd_uri = server.uri(), .label = "a label"}, task);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->record.label, "a label");
  ASSERT_GE(reports.size(), 2U);
  EXPECT_EQ(reports.front().phase, "Reading");
  EXPECT_EQ(reports.back().phase, "Committing");
  EXPECT_EQ(reports.back().bytes_done, kDiskBytes);
  EXPECT_EQ(reports.back().bytes_new + reports.back().bytes_known, result->record.data_bytes);
  EXPECT_GE(reports.back().bytes_new, kMiB);
  EXPECT_GT(reports.back().bytes_known, 0U) << "the base's bytes were there";
  for (std::size_t i = 1; i < reports.size(); ++i) {
    EXPECT_EQ(reports[i].bytes_total, kDiskBytes);
    EXPECT_GE(reports[i].bytes_done, reports[i - 1].bytes_done);
  }
}

TEST_F(Capture, AStopLeavesNoImageAndANewStartFinishes) {
  fs::copy_file(file("base"), file("changed"));
  write_random(file("changed"), 100 * kMiB, 20 * kMiB, 7);
  const DiskServer server(nbdkit_file(file("changed"), file("socket")), file("socket"));
  std::stop_source stop;
  TaskContext task(stop.get_token(), [&](const Progress&) { stop.request_stop(); });
  const auto stopped = capture_disk(*store_, {.nbd_uri = server.uri()}, task);
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().code(), Code::kCanceled);
  EXPECT_EQ(list_images(*store_)->size(), 1U) << "the base alone";
  const auto result = capture(server);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->record.root, root_of_file("changed"));
}

TEST_F(Capture, AServerThatDiesLeavesNoImage) {
  fs::copy_file(file("base"), file("changed"));
  write_random(file("changed"), 100 * kMiB, 20 * kMiB, 8);
  DiskServer server(nbdkit_file(file("changed"), file("socket")), file("socket"));
  bool is_dead = false;
  TaskContext task({}, [&](const Progress&) {
    if (!is_dead) server.kill();
    is_dead = true;
  });
  const auto result = capture_disk(*store_, {.nbd_uri = server.uri()}, task);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), Code::kUnavailable);
  EXPECT_EQ(list_images(*store_)->size(), 1U);
}

TEST_F(Capture, WhatWasCapturedIsRestoredBitByBitAndSparse) {
  TaskContext task;
  ASSERT_TRUE(restore_raw_file(*store_, base_root_, file("restored"), task).has_value());
  EXPECT_EQ(fs::file_size(file("restored")), kDiskBytes);
  run("cmp " + file("base") + " " + file("restored"));
  const std::string kib = run("du -k " + file("restored"));
  EXPECT_LT(std::stoul(kib), 8U << 10) << "holes stay holes";
  const auto report = verify_store(*store_, {}, task);
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(report->clean());
}

TEST_F(Capture, ARestoreThatFailsLeavesNothingBehind) {
  std::stop_source stop;
  stop.request_stop();
  TaskContext task(stop.get_token(), {});
  EXPECT_FALSE(restore_raw_file(*store_, base_root_, file("restored"), task).has_value());
  Digest unknown;
  unknown.bytes.fill(7);
  EXPECT_FALSE(restore_raw_file(*store_, unknown, file("restored"), task_).has_value());
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir_.path())) names.insert(entry.path().filename().string());
  EXPECT_EQ(names, (std::set<std::string>{"base", "store"}));
}

TEST_F(Capture, ARawFileThatIsOpenForWritingIsReadAllTheSame) {
  const FileDescriptor writer(::open(file("base").c_str(), O_WRONLY | O_CLOEXEC));
  const FileDescriptor reader(::open(file("base").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(FileMapping::take(reader.get(), kDiskBytes), nullptr);
  EXPECT_EQ(root_of_file("base"), base_root_);
}

TEST_F(Capture, WhoWantsToWriteToARawFileEndsItsCapture) {
  int wrote = 0;
  TaskContext task({}, [&](const Progress&) {
    if (::open(file("base").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC) >= 0) ++wrote;
  });
  const auto result = capture_raw_file(*store_, file("base"), {}, task);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), Code::kConflict);
  EXPECT_EQ(wrote, 0) << "who writes waits until the capture has ended";
  const FileDescriptor writer(::open(file("base").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_GE(writer.get(), 0);
}

TEST_F(Capture, ARawFileMustBeOfWholeSectors) {
  fs::resize_file(file("base"), 1000);
  const auto result = capture_raw_file(*store_, file("base"), {}, task_);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace atelier::image
