#include "vm/image_server.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "vm/process.h"

namespace atelier::vm {
namespace {

class ImageServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *make_private_folder();
    std::filesystem::create_directory(folder_ / "disks");
    std::ofstream(folder_ / "disks" / "one") << std::string(8192, 'a');
    std::ofstream(folder_ / "disks" / "two") << std::string(4096, 'b');
  }
  void TearDown() override {
    const auto server = ImageServer::open(options());
    ASSERT_TRUE(server.has_value());
    EXPECT_TRUE((*server)->stop().has_value());
    std::filesystem::remove_all(folder_);
  }

  ImageServer::Options options() const {
    return {.plugin = "file",
            .parameters = {"dir=" + (folder_ / "disks").string()},
            .socket = folder_ / "nbd.sock",
            .pid_file = folder_ / "nbd.pid",
            .log_file = folder_ / "nbd.log",
            .threads = 2,
            .watch = ImageServer::Watch::kNone};
  }
  // 0 while there is none.
  pid_t pid() const {
    pid_t number = 0;
    std::ifstream(folder_ / "nbd.pid") >> number;
    return number;
  }
  // Kills the server; gives the number that it had.
  pid_t kill_server() const {
    const pid_t number = pid();
    if (number <= 1) throw std::logic_error("There is no server to kill.");  // 0 would be everybody
    ::kill(number, SIGKILL);
    return number;
  }
  static std::string size_of(const NbdDisk& disk) {
    const auto size = run({.arguments = {"nbdinfo", "--size", disk.uri()}, .confinement = {}});
    return size ? size->output : "";
  }
  static void wait_until_gone(pid_t pid) {
    while (process_facts(pid)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  std::filesystem::path folder_;
};

TEST_F(ImageServerTest, ServesEachImageByItsName) {
  const auto server = ImageServer::open(options());
  ASSERT_TRUE(server.has_value()) << server.error().message();
  EXPECT_EQ(size_of((*server)->disk("one", 8192)), "8192\n");
  EXPECT_EQ(size_of((*server)->disk("two", 4096)), "4096\n");
  EXPECT_EQ(size_of((*server)->disk("three", 4096)), "");
}

TEST_F(ImageServerTest, OutlivesUsAndIsTakenOver) {
  const auto first = ImageServer::open(options()).value()->disk("one", 8192);
  const pid_t before = pid();
  EXPECT_EQ(size_of(first), "8192\n");
  const auto second = ImageServer::open(options());
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(pid(), before);
}

TEST_F(ImageServerTest, StartsAgainWhenItDied) {
  const auto server = ImageServer::open(options());
  ASSERT_TRUE(server.has_value());
  const pid_t before = kill_server();  // leaves socket and pid file behind
  wait_until_gone(before);
  ASSERT_TRUE((*server)->ensure_running().has_value());
  EXPECT_NE(pid(), before);
  EXPECT_EQ(size_of((*server)->disk("one", 8192)), "8192\n");
}

TEST_F(ImageServerTest, TheWatchStartsItAgainUnasked) {
  auto watched = options();
  watched.watch = ImageServer::Watch::kRestart;
  watched.watch_interval = std::chrono::milliseconds(10);
  const auto server = ImageServer::open(watched);
  ASSERT_TRUE(server.has_value());
  const pid_t before = kill_server();
  while (pid() == before || pid() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE((*server)->ensure_running().has_value());
  EXPECT_EQ(size_of((*server)->disk("one", 8192)), "8192\n");
}

TEST_F(ImageServerTest, DoesNotTouchAnotherProcessThatHasTheNumberOfThePidFile) {
  const auto stranger = start_detached({.arguments = {"sleep", "1000"}, .confinement = {}}, {});
  ASSERT_TRUE(stranger.has_value());
  std::ofstream(folder_ / "nbd.pid") << *stranger << '\n';
  const auto server = ImageServer::open(options());
  ASSERT_TRUE(server.has_value());
  EXPECT_NE(pid(), *stranger);
  EXPECT_TRUE(process_facts(*stranger).has_value());
  ::kill(*stranger, SIGKILL);
}

TEST_F(ImageServerTest, OtherOptionsReplaceTheRunningOne) {
  const auto first = ImageServer::open(options());
  ASSERT_TRUE(first.has_value());
  const pid_t before = pid();
  auto other = options();
  other.threads = 3;
  const auto second = ImageServer::open(other);
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(pid(), before);
  EXPECT_FALSE(process_facts(before).has_value());
}

TEST_F(ImageServerTest, QemusUserMayConnect) {
  const auto server = ImageServer::open(options());
  ASSERT_TRUE(server.has_value());
  struct stat facts{};
  ASSERT_EQ(::stat((folder_ / "nbd.sock").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0666U);
}

TEST_F(ImageServerTest, SaysThatItCannotStart) {
  auto broken = options();
  broken.parameters = {"dir=/nonexistent"};
  const auto server = ImageServer::open(broken);
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().code(), Code::kUnavailable);
  EXPECT_EQ(server.error().message().find(folder_.string()), std::string::npos) << "no host path";
}

TEST_F(ImageServerTest, StopEndsItAndRemovesItsFiles) {
  const auto server = ImageServer::open(options());
  ASSERT_TRUE(server.has_value());
  const pid_t running = pid();
  ASSERT_TRUE((*server)->stop().has_value());
  EXPECT_FALSE(process_facts(running).has_value());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "nbd.sock"));
  EXPECT_EQ((*server)->ensure_running().error().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace atelier::vm
