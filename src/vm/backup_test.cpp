// Backups of real running guests: QEMU by libvirt's embedded driver, under emulation.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "vm/process.h"
#include "vm/test_guest.h"

namespace atelier::vm {
namespace {

// A disk image's second partition, as debugfs and its kin take it.
constexpr const char* kRootPartition = "?offset=24117248";

std::string shell(const std::string& script) {
  const auto output = run_ok({.arguments = {"sh", "-c", script}, .confinement = {}});
  return output ? *output : "failed: " + output.error().message();
}

class BackupTest : public ::testing::Test {
 protected:
  ~BackupTest() override {
    if (spec_.uuid.empty()) return;
    EXPECT_TRUE(host_.hypervisor().remove(spec_.uuid).has_value());
    if (moved_) shell("umount -l " + spec_.folder.string());
  }
  // A guest that counts in a file, each number made durable before the next.
  void start_counting_guest() {
    spec_ = host_.define_vm(SeedDisk::kAttached);
    ASSERT_EQ(problem_of(host_.hypervisor().start(spec_.uuid)), "");
    ASSERT_NE(TestHost::wait_ready(spec_), "") << TestHost::console(spec_);
    const Finished began = host_.in_guest(
        spec_,
        "(i=0; while :; do i=$((i+1)); echo $i >next; sync next; mv next count; done) </dev/null >/dev/null 2>&1 &");
    ASSERT_EQ(began.exit_code, 0) << began.error;
    ASSERT_GT(count(), 0);
  }
  long count() {
    for (int tries = 0; tries < 20; ++tries) {
      const std::string text = host_.in_guest(spec_, "cat count").output;  // empty while it is being written
      if (!text.empty()) return std::stol(text);
    }
    return -1;
  }
  // Its folder on a file system of its own, with so much room. The VM is stopped.
  void move_folder(const std::string& room) {
    const std::string folder = spec_.folder.string();
    ASSERT_EQ(shell("mv " + folder + " " + folder + ".old && mkdir " + folder + " && mount -t tmpfs -o mode=755,size=" +
                    room + " tmpfs " + folder + " && cp -a " + folder + ".old/. " + folder),
              "");
    moved_ = true;
  }
  void expect_no_files_left() {
    EXPECT_FALSE(std::filesystem::exists(spec_.folder / "scratch.qcow2"));
    EXPECT_FALSE(std::filesystem::exists(spec_.folder / "run" / "nbd.sock"));
  }
  std::filesystem::path raw_of(const DiskBackup& backup, const std::string& name) {
    const auto raw = spec_.folder / name;
    EXPECT_EQ(shell("nbdcopy '" + backup.uri() + "' " + raw.string()), "");
    return raw;
  }

  TestHost& host_ = TestHost::instance();
  VmSpec spec_;
  bool moved_ = false;
  TaskContext task_;
};

TEST_F(BackupTest, KeepsOneCleanMomentWhileTheGuestGoesOnWriting) {
  start_counting_guest();
  const long before = count();
  {
    const auto backup = host_.hypervisor().begin_backup(spec_.uuid, {}, task_);
    ASSERT_TRUE(backup.has_value()) << backup.error().message();
    EXPECT_EQ(backup->consistency(), Consistency::kFileSystem);
    EXPECT_EQ(backup->layers(), 2U);
    const auto first = raw_of(*backup, "first.raw");
    const long meanwhile = count();
    EXPECT_GT(meanwhile, before) << "the guest is not thawed";
    EXPECT_EQ(shell("nbdcopy '" + backup->uri() + "' - | cmp - " + first.string()), "") << "the moment moved";
    EXPECT_TRUE(backup->health());

    const std::string root = first.string() + kRootPartition;
    EXPECT_EQ(shell("dumpe2fs -h '" + root + "' 2>&1 | grep -c needs_recovery || true"), "0\n") << "it was not frozen";
    EXPECT_EQ(shell("e2fsck -fn '" + root + "' >/dev/null 2>&1; echo $?"), "0\n");
    const long kept = std::stol(shell("debugfs -R 'cat /home/teacher/count' '" + root + "' 2>/dev/null"));
    EXPECT_GE(kept, before);
    EXPECT_LE(kept, meanwhile);

    // What no layer holds is the image's, byte for byte: that is what an export takes over unread.
    const std::string map = shell("nbdinfo --map=qemu:allocation-depth '" + backup->uri() + "'");
    EXPECT_NE(map.find(" 3 "), std::string::npos) << map;
    EXPECT_EQ(shell("nbdinfo --map=qemu:allocation-depth '" + backup->uri() +
                    "' | while read -r at size depth rest; do " + "[ $depth = 3 ] || continue; cmp -n $size " +
                    first.string() + " " + host_.base().string() + " -i $at || echo differs at $at; done"),
              "");
  }
  expect_no_files_left();
  const long after = count();
  EXPECT_GT(count(), after);
}

TEST_F(BackupTest, EndsAtItsBoundAndTheGuestGoesOn) {
  start_counting_guest();
  const auto backup = host_.hypervisor().begin_backup(spec_.uuid, {.scratch_bytes_max = 4 << 20}, task_);
  ASSERT_TRUE(backup.has_value()) << backup.error().message();
  // Writes what is there already over itself: its old bytes go to the scratch file.
  const Finished written =
      host_.in_guest(spec_, "sudo dd if=/dev/vda1 of=/dev/vda1 bs=64k conv=notrunc,fsync 2>&1 | tail -n 1");
  EXPECT_EQ(written.exit_code, 0) << written.error;
  Status health;
  for (int i = 0; i < 600 && (health = backup->health()); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_FALSE(health.has_value());
  EXPECT_EQ(health.error().code(), Code::kResourceExhausted) << health.error().message();
  expect_no_files_left();
  EXPECT_EQ(host_.hypervisor().status(spec_.uuid)->power, PowerState::kRunning);
  const long after = count();
  EXPECT_GT(count(), after);
}

TEST_F(BackupTest, AHostThatIsFullEndsItAndTheGuestGoesOn) {
  spec_ = host_.define_vm(SeedDisk::kAttached);
  ASSERT_NO_FATAL_FAILURE(move_folder("34M"));
  ASSERT_EQ(problem_of(host_.hypervisor().start(spec_.uuid)), "");
  ASSERT_NE(TestHost::wait_ready(spec_), "") << TestHost::console(spec_);
  host_.in_guest(spec_, "until pidof qemu-ga; do usleep 100000; done; sleep 1");  // it comes up after all else
  EXPECT_EQ(host_.hypervisor().begin_backup(spec_.uuid, {.free_bytes_min = 1ULL << 60}, task_).error().code(),
            Code::kResourceExhausted);
  const auto backup = host_.hypervisor().begin_backup(spec_.uuid, {.free_bytes_min = 0}, task_);
  ASSERT_TRUE(backup.has_value()) << backup.error().message();
  // The overlay has room for this, and so has the scratch file, but not both.
  const Finished written = host_.in_guest(
      spec_, "sudo dd if=/dev/vda1 of=/dev/vda1 bs=64k conv=notrunc,fsync && sudo dmesg | grep -ci 'i/o error'");
  EXPECT_EQ(written.output, "0\n") << written.error;
  const Status health = backup->health();
  ASSERT_FALSE(health.has_value());
  EXPECT_EQ(health.error().code(), Code::kResourceExhausted) << health.error().message();
  expect_no_files_left();
  EXPECT_EQ(host_.hypervisor().status(spec_.uuid)->power, PowerState::kRunning);
}

}  // namespace
}  // namespace atelier::vm
