#include "vm/accelerator.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "vm/process.h"

namespace atelier::vm {
namespace {

TEST(AcceleratorTest, AnswersTheSameFromItsCacheAsByTrying) {
  const auto folder = make_private_folder();
  ASSERT_TRUE(folder.has_value());
  const ProbeOptions options{
      .cache_file = *folder / "accelerator", .kernel = {}, .time_limit = std::chrono::seconds(5)};
  const Accelerator tried = probe_accelerator(options);
  EXPECT_EQ(probe_accelerator(options), tried);
  if (::access("/dev/kvm", R_OK | W_OK) == 0) {
    std::string answer;
    std::getline(std::ifstream(options.cache_file).seekg(0), answer);
    EXPECT_EQ(answer, to_string(tried));
  }
  std::filesystem::remove_all(*folder);
}

TEST(AcceleratorTest, AFileThatIsNoKernelDoesNotBoot) {
  EXPECT_EQ(probe_accelerator({.cache_file = {}, .kernel = "/etc/passwd", .time_limit = std::chrono::seconds(2)}),
            Accelerator::kTcg);
}

TEST(AcceleratorTest, ACacheOfAnotherHostIsNotBelieved) {
  const auto folder = make_private_folder();
  ASSERT_TRUE(folder.has_value());
  std::ofstream(*folder / "accelerator") << "kvm\nanother host\n";
  EXPECT_EQ(
      probe_accelerator(
          {.cache_file = *folder / "accelerator", .kernel = "/etc/passwd", .time_limit = std::chrono::seconds(2)}),
      Accelerator::kTcg);
  std::filesystem::remove_all(*folder);
}

}  // namespace
}  // namespace atelier::vm
