// Real guests: QEMU by libvirt's embedded driver, disks by nbdkit, under emulation.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "vm/test_guest.h"

namespace atelier::vm {
namespace {

TEST(GuestTest, AGeneralizedImageBootsWithItsSeedTakesSshObeysThePowerButtonAndIsExported) {
  TestHost& host = TestHost::instance();
  const VmSpec spec = host.define_vm(SeedDisk::kAttached);
  ASSERT_EQ(problem_of(host.hypervisor().start(spec.uuid)), "");
  const std::string ready = TestHost::wait_ready(spec);
  ASSERT_NE(ready, "") << TestHost::console(spec);
  EXPECT_EQ(value_of(ready, "host"), "guest-" + spec.uuid.substr(0, 8));

  const Finished identity = host.in_guest(spec, "id -un; id -nG; hostname; sudo id -u; cat /etc/machine-id");
  EXPECT_EQ(identity.output,
            "teacher\nteacher sudo\nguest-" + spec.uuid.substr(0, 8) + "\n0\n" + value_of(ready, "mid") + "\n")
      << identity.error;
  const Finished network = host.in_guest(spec, "nc -w 3 10.0.2.2 22 </dev/null || echo cut off");
  EXPECT_EQ(network.output, "cut off\n");
  EXPECT_EQ(host.in_guest(spec, "echo 'the work of a teacher' >notes; sync").exit_code, 0);
  EXPECT_TRUE(std::filesystem::is_socket(host.hypervisor().status(spec.uuid)->vnc_socket));

  TaskContext task;
  ASSERT_TRUE(host.hypervisor().stop(spec.uuid, {.graceful = std::chrono::seconds(60)}, task).has_value());
  EXPECT_NE(TestHost::console(spec).find("Power down"), std::string::npos) << "the guest did it by itself";
  EXPECT_EQ(host.hypervisor().status(spec.uuid)->power, PowerState::kStopped);
  EXPECT_EQ(host.hypervisor().status(spec.uuid)->ssh_authority, "");

  const auto disk = export_overlay(spec.disk);
  ASSERT_TRUE(disk.has_value()) << disk.error().message();
  const auto map =
      run({.arguments = {"nbdinfo", "--map=qemu:allocation-depth", "--totals", disk->uri()}, .confinement = {}});
  ASSERT_TRUE(map.has_value());
  EXPECT_NE(map->output.find(" local"), std::string::npos) << map->output << map->error;
  EXPECT_NE(map->output.find(" backing depth 2"), std::string::npos) << map->output;
  const auto content =
      run({.arguments = {"sh", "-c", "nbdcopy \"$0\" - | grep -q -a 'the work of a teacher'", disk->uri()},
           .confinement = {}});
  EXPECT_EQ(content->exit_code, 0) << content->error;
}

TEST(GuestTest, TwoVmsOfOneBaseAreTwoMachines) {
  TestHost& host = TestHost::instance();
  const VmSpec first = host.define_vm(SeedDisk::kNone);
  const VmSpec second = host.define_vm(SeedDisk::kNone);
  ASSERT_EQ(problem_of(host.hypervisor().start(first.uuid)), "");
  ASSERT_EQ(problem_of(host.hypervisor().start(second.uuid)), "");
  const std::string first_ready = TestHost::wait_ready(first);
  const std::string second_ready = TestHost::wait_ready(second);
  EXPECT_EQ(value_of(first_ready, "mid").size(), 32U);
  EXPECT_EQ(value_of(second_ready, "mid").size(), 32U);
  EXPECT_NE(value_of(first_ready, "mid"), value_of(second_ready, "mid"));
  EXPECT_NE(value_of(first_ready, "host"), value_of(second_ready, "host"));
  EXPECT_NE(host.hypervisor().status(first.uuid)->ssh_authority, host.hypervisor().status(second.uuid)->ssh_authority);
  ASSERT_TRUE(host.hypervisor().remove(first.uuid).has_value());
  ASSERT_TRUE(host.hypervisor().remove(second.uuid).has_value());
}

TEST(GuestTest, AGuestWhoseImageServerIsKilledStallsAndGoesOnWithoutAnError) {
  TestHost& host = TestHost::instance();
  const VmSpec spec = host.define_vm(SeedDisk::kAttached);
  ASSERT_EQ(problem_of(host.hypervisor().start(spec.uuid)), "");
  ASSERT_NE(TestHost::wait_ready(spec), "");

  // The boot partition is never written: what the guest reads there is the base's.
  const auto expected = run_ok(
      {.arguments = {"sh", "-c", "dd if=\"$0\" bs=1M skip=1 count=22 status=none | md5sum", host.base().string()},
       .confinement = {}});
  ASSERT_TRUE(expected.has_value());
  Finished read;
  std::thread reader([&] {
    read = host.in_guest(spec,
                         "sudo sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo 3 >/proc/sys/vm/drop_caches; "
                         "dd if=/dev/vda1 bs=1M 2>/dev/null | md5sum; done; dmesg | grep -ci \"i/o error\"'");
  });
  std::this_thread::sleep_for(std::chrono::seconds(1));
  ::kill(host.image_server_pid(), SIGKILL);
  bool paused = false;
  for (int i = 0; i < 1200 && !paused; ++i) {
    paused = host.hypervisor().status(spec.uuid)->power == PowerState::kPaused;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(paused);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(host.hypervisor().status(spec.uuid)->power, PowerState::kPaused) << "nobody resumes it in vain";
  ASSERT_TRUE(host.images().ensure_running().has_value());
  reader.join();

  std::string all;
  for (int i = 0; i < 12; ++i) all += *expected;
  EXPECT_EQ(read.output, all + "0\n") << read.error;
  EXPECT_EQ(host.hypervisor().status(spec.uuid)->power, PowerState::kRunning);
  ASSERT_TRUE(host.hypervisor().remove(spec.uuid).has_value());
}

TEST(GuestTest, AnSshPortThatSomebodyTookIsReplacedAtStart) {
  TestHost& host = TestHost::instance();
  const VmSpec spec = host.define_vm(SeedDisk::kNone);
  ASSERT_EQ(problem_of(host.hypervisor().start(spec.uuid)), "");
  const std::string before = host.hypervisor().status(spec.uuid)->ssh_authority;
  TaskContext task;
  ASSERT_TRUE(host.hypervisor().stop(spec.uuid, {.graceful = std::chrono::milliseconds(0)}, task).has_value());

  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(before.substr(before.find(':') + 1))));
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  const Status started = host.hypervisor().start(spec.uuid);
  ::close(fd);
  ASSERT_TRUE(started.has_value()) << started.error().message();
  const std::string after = host.hypervisor().status(spec.uuid)->ssh_authority;
  EXPECT_NE(after, "");
  EXPECT_NE(after, before);
  ASSERT_TRUE(host.hypervisor().define(spec).has_value());
  EXPECT_EQ(host.hypervisor().status(spec.uuid)->ssh_authority, after) << "defined again, it keeps its port";
  ASSERT_TRUE(host.hypervisor().remove(spec.uuid).has_value());
}

TEST(GuestTest, QemuRunsInItsSandboxAsAnotherUser) {
  TestHost& host = TestHost::instance();
  const VmSpec spec = host.define_vm(SeedDisk::kNone);
  ASSERT_EQ(problem_of(host.hypervisor().start(spec.uuid)), "");
  bool found = false;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto facts = process_facts(std::stoi(name));
    if (!facts) continue;
    std::string all;
    for (const std::string& argument : facts->arguments) all += argument + " ";
    if (all.find(spec.uuid) == std::string::npos || !facts->arguments.front().contains("qemu-system")) continue;
    found = true;
    EXPECT_NE(all.find("-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
              std::string::npos)
        << all;
    std::ifstream status(entry.path() / "status");
    std::stringstream text;
    text << status.rdbuf();
    EXPECT_EQ(text.str().find("Uid:\t0"), std::string::npos);
  }
  EXPECT_TRUE(found);
  ASSERT_TRUE(host.hypervisor().remove(spec.uuid).has_value());
}

}  // namespace
}  // namespace atelier::vm
