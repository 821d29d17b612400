#include "vm/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

namespace atelier::vm {
namespace {

Command command(std::vector<std::string> arguments) {
  return {.arguments = std::move(arguments), .confinement = std::nullopt};
}

TEST(ProcessTest, GivesOutputErrorAndExitCode) {
  const auto finished = run(command({"sh", "-c", "echo out; echo err >&2; exit 3"}));
  ASSERT_TRUE(finished.has_value());
  EXPECT_EQ(finished->output, "out\n");
  EXPECT_EQ(finished->error, "err\n");
  EXPECT_EQ(finished->exit_code, 3);
}

TEST(ProcessTest, PassesArgumentsAsTheyAre) {
  const std::string hostile = "a b; touch /x `id` $HOME \"'\n";
  const auto output = run_ok(command({"printf", "%s", hostile}));
  ASSERT_TRUE(output.has_value());
  EXPECT_EQ(*output, hostile);
}

TEST(ProcessTest, KeepsNoMoreOutputThanAsked) {
  const auto finished = run(command({"head", "-c", "3000000", "/dev/zero"}), {.output_bytes_max = 1000});
  ASSERT_TRUE(finished.has_value());
  EXPECT_EQ(finished->exit_code, 0);
  EXPECT_EQ(finished->output.size(), 1000U);
}

TEST(ProcessTest, KillsWhatTakesTooLong) {
  const auto finished = run(command({"sleep", "1000"}), {.timeout = std::chrono::milliseconds(50)});
  ASSERT_FALSE(finished.has_value());
  EXPECT_EQ(finished.error().code(), Code::kUnavailable);
}

TEST(ProcessTest, SaysThatAProgramIsMissing) {
  const auto finished = run(command({"no-such-program-here"}));
  ASSERT_FALSE(finished.has_value());
  EXPECT_EQ(finished.error().code(), Code::kInternal);
  EXPECT_FALSE(start_detached(command({"no-such-program-here"}), {}).has_value());
}

TEST(ProcessTest, AChildInheritsNoOtherDescriptor) {
  const int leaked = ::dup(2);  // without close-on-exec
  const auto output = run_ok(command({"ls", "/proc/self/fd"}));
  ::close(leaked);
  ASSERT_TRUE(output.has_value());
  EXPECT_EQ(*output, "0\n1\n2\n3\n");  // 3 is the folder that ls reads
}

TEST(ProcessTest, AChildEndsWithItsObject) {
  std::optional<pid_t> pid;
  {
    auto child = Child::start(command({"sleep", "1000"}));
    ASSERT_TRUE(child.has_value());
    pid = child->pid();
    EXPECT_TRUE(process_facts(*pid).has_value());
    EXPECT_FALSE(child->exit_code().has_value());
  }
  EXPECT_FALSE(process_facts(*pid).has_value());
}

TEST(ProcessTest, AChildEndsWithTheThreadThatStartedIt) {
  std::optional<Child> child;
  std::thread([&] { child = std::move(*Child::start(command({"sleep", "1000"}))); }).join();
  for (int i = 0; i < 1000 && !child->exit_code(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(child->exit_code(), 128 + SIGKILL);
}

TEST(ProcessTest, ADetachedProcessIsInASessionOfItsOwnAndItsFactsAreKnown) {
  const auto pid = start_detached(command({"sleep", "1000"}), {});
  ASSERT_TRUE(pid.has_value());
  EXPECT_EQ(::getsid(*pid), *pid);
  const auto facts = process_facts(*pid);
  ASSERT_TRUE(facts.has_value());
  EXPECT_EQ(facts->arguments, (std::vector<std::string>{"sleep", "1000"}));
  EXPECT_GT(facts->start_ticks, 0U);
  ::kill(*pid, SIGKILL);
}

TEST(ProcessTest, AConfinedProcessSeesItsFileAndNothingElse) {
  const auto folder = make_private_folder();
  ASSERT_TRUE(folder.has_value());
  std::ofstream(*folder / "input") << "seen";
  std::ofstream(*folder / "secret") << "hidden";
  const Confinement bounds{.read_only_file = *folder / "input", .writable_folder = {}};
  const auto seen = run({.arguments = {"cat", kConfinedFile}, .confinement = bounds});
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->output, "seen") << seen->error;
  const auto hidden = run({.arguments = {"cat", (*folder / "secret").string()}, .confinement = bounds});
  ASSERT_TRUE(hidden.has_value());
  EXPECT_NE(hidden->exit_code, 0);
  const auto written = run({.arguments = {"sh", "-c", "echo x > /input"}, .confinement = bounds});
  ASSERT_TRUE(written.has_value());
  EXPECT_NE(written->exit_code, 0);
  const auto network = run({.arguments = {"cat", "/proc/net/dev"}, .confinement = bounds});
  ASSERT_TRUE(network.has_value());
  EXPECT_EQ(network->output.find("eth"), std::string::npos);
  EXPECT_NE(network->output.find("lo:"), std::string::npos);
  std::filesystem::remove_all(*folder);
}

}  // namespace
}  // namespace atelier::vm
