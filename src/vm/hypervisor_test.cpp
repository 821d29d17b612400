// What every hypervisor must do: one suite for the fake and for libvirt's embedded driver with real QEMU.
#include "vm/hypervisor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "base/text.h"
#include "vm/fake_hypervisor.h"
#include "vm/test_guest.h"

namespace atelier::vm {
namespace {

enum class Kind { kFake, kLibvirt };

class HypervisorTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::kLibvirt) {
      spec_ = TestHost::instance().define_vm(SeedDisk::kNone);
      return;
    }
    fake_.emplace(
        FakeHypervisor::Options{.start_delay = std::chrono::milliseconds(2), .shutdown_delay = std::chrono::hours(1)});
    folder_ = *make_private_folder();
    spec_.uuid = new_uuid();
    spec_.folder = folder_;
    spec_.disk.path = folder_ / "disk.qcow2";
    std::ofstream(spec_.disk.path) << "disk";
    ASSERT_TRUE(fake_->define(spec_).has_value());
  }
  void TearDown() override {
    EXPECT_TRUE(hypervisor().remove(spec_.uuid).has_value());
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  Hypervisor& hypervisor() {
    if (fake_) return *fake_;
    return TestHost::instance().hypervisor();
  }
  PowerState power() { return hypervisor().status(spec_.uuid)->power; }
  bool listed() {
    const auto all = hypervisor().list();
    return std::ranges::find(*all, spec_.uuid, &ListedVm::uuid) != all->end();
  }

  std::optional<FakeHypervisor> fake_;
  std::filesystem::path folder_;
  VmSpec spec_;
  TaskContext task_;
};

TEST_P(HypervisorTest, AnUnknownVmIsNotFoundButMayBeRemoved) {
  const std::string unknown = new_uuid();
  EXPECT_EQ(hypervisor().status(unknown).error().code(), Code::kNotFound);
  EXPECT_EQ(hypervisor().start(unknown).error().code(), Code::kNotFound);
  EXPECT_EQ(hypervisor().stop(unknown, {}, task_).error().code(), Code::kNotFound);
  EXPECT_TRUE(hypervisor().remove(unknown).has_value());
}

TEST_P(HypervisorTest, ADefinedVmIsStoppedAndListed) {
  EXPECT_EQ(power(), PowerState::kStopped);
  EXPECT_EQ(hypervisor().status(spec_.uuid)->ssh_authority, "");
  EXPECT_TRUE(listed());
  spec_.memory_mib *= 2;
  EXPECT_TRUE(hypervisor().define(spec_).has_value()) << "again, with other settings";
  EXPECT_EQ(power(), PowerState::kStopped);
}

TEST_P(HypervisorTest, StartAndStopMayBeRepeated) {
  EXPECT_TRUE(hypervisor().stop(spec_.uuid, {}, task_).has_value()) << "it is off";
  ASSERT_EQ(problem_of(hypervisor().start(spec_.uuid)), "");
  EXPECT_TRUE(hypervisor().start(spec_.uuid).has_value());
  EXPECT_EQ(power(), PowerState::kRunning);
  const auto status = hypervisor().status(spec_.uuid);
  EXPECT_TRUE(status->ssh_authority.starts_with("127.0.0.1:"));
  EXPECT_EQ(status->vnc_socket, spec_.folder / "run" / "vnc.sock");
  EXPECT_TRUE(hypervisor().stop(spec_.uuid, {.graceful = std::chrono::milliseconds(0)}, task_).has_value());
  EXPECT_TRUE(hypervisor().stop(spec_.uuid, {.graceful = std::chrono::milliseconds(0)}, task_).has_value());
  EXPECT_EQ(power(), PowerState::kStopped);
  ASSERT_EQ(problem_of(hypervisor().start(spec_.uuid)), "") << "and on again";
  EXPECT_EQ(power(), PowerState::kRunning);
}

TEST_P(HypervisorTest, AGuestThatDoesNotListenLosesItsPower) {
  ASSERT_EQ(problem_of(hypervisor().start(spec_.uuid)), "");  // it has not booted yet
  EXPECT_TRUE(hypervisor().stop(spec_.uuid, {.graceful = std::chrono::milliseconds(50)}, task_).has_value());
  EXPECT_EQ(power(), PowerState::kStopped);
}

TEST_P(HypervisorTest, AStopThatIsCanceledLeavesTheVmOn) {
  ASSERT_EQ(problem_of(hypervisor().start(spec_.uuid)), "");
  std::stop_source source;
  source.request_stop();
  TaskContext canceled(source.get_token(), {});
  EXPECT_EQ(hypervisor().stop(spec_.uuid, {}, canceled).error().code(), Code::kCanceled);
  EXPECT_NE(power(), PowerState::kStopped);
}

TEST_P(HypervisorTest, AVmWithoutItsDiskDoesNotStart) {
  std::filesystem::remove(spec_.disk.path);
  const auto started = hypervisor().start(spec_.uuid);
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(started.error().message().find(spec_.folder.string()), std::string::npos) << "no host path";
  EXPECT_EQ(power(), PowerState::kStopped);
}

TEST_P(HypervisorTest, OnlyARunningVmIsBackedUp) {
  EXPECT_EQ(hypervisor().begin_backup(new_uuid(), {}, task_).error().code(), Code::kNotFound);
  const auto refused = hypervisor().begin_backup(spec_.uuid, {}, task_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(refused.error().message().find(spec_.folder.string()), std::string::npos) << "no host path";
}

TEST_P(HypervisorTest, RemoveCutsThePowerAndForgets) {
  ASSERT_EQ(problem_of(hypervisor().start(spec_.uuid)), "");
  EXPECT_TRUE(hypervisor().remove(spec_.uuid).has_value());
  EXPECT_TRUE(hypervisor().remove(spec_.uuid).has_value());
  EXPECT_EQ(hypervisor().status(spec_.uuid).error().code(), Code::kNotFound);
  EXPECT_FALSE(listed());
  EXPECT_TRUE(std::filesystem::exists(spec_.disk.path)) << "the disk is the caller's";
}

INSTANTIATE_TEST_SUITE_P(Fake, HypervisorTest, ::testing::Values(Kind::kFake), [](const auto&) { return "Fake"; });
INSTANTIATE_TEST_SUITE_P(Libvirt, HypervisorTest, ::testing::Values(Kind::kLibvirt),
                         [](const auto&) { return "Libvirt"; });

}  // namespace
}  // namespace atelier::vm
