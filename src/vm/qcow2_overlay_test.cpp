// Our own empty qcow2 files, as QEMU sees them.
#include "vm/qcow2_overlay.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/json.h"
#include "vm/process.h"

namespace atelier::vm {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kTiB = 1ULL << 40;
const std::string kUri = "nbd+unix:///ab%20c?socket=/run/a%3Fb.sock";

class Qcow2OverlayTest : public ::testing::Test {
 protected:
  ~Qcow2OverlayTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  static std::string output_of(std::vector<std::string> arguments) {
    const auto output = run_ok({.arguments = std::move(arguments), .confinement = {}});
    EXPECT_TRUE(output) << output.error().message();
    return output.value_or("");
  }

  std::filesystem::path folder_ = *make_private_folder();
  std::filesystem::path file_ = folder_ / "disk.qcow2";
};

TEST_F(Qcow2OverlayTest, QemuFindsNothingWrongFromTheSmallestDiskToTheLargest) {
  for (const std::uint64_t disk_bytes :
       {std::uint64_t{512}, kMiB, 512 * kMiB, 512 * kMiB + 512, 40960 * kMiB, 4 * kTiB - 512, 16 * kTiB}) {
    std::filesystem::remove(file_);
    ASSERT_TRUE(write_qcow2_overlay(file_, kUri, disk_bytes)) << disk_bytes;
    const json::object alone{
        {"driver", "qcow2"}, {"backing", nullptr}, {"file", {{"driver", "file"}, {"filename", file_.string()}}}};
    const auto checked = parse_json_object(output_of({"qemu-img", "check", "--output=json", "json:" + to_text(alone)}));
    ASSERT_TRUE(checked) << disk_bytes;
    EXPECT_EQ(int_at(*checked, "check-errors", -1), 0) << disk_bytes;
    EXPECT_EQ(int_at(*checked, "leaks"), 0) << disk_bytes;
    const auto info =
        parse_json_object(output_of({"qemu-img", "info", "-f", "qcow2", "--output=json", file_.string()}));
    ASSERT_TRUE(info) << disk_bytes;
    EXPECT_EQ(uint_at(*info, "virtual-size"), disk_bytes);
    EXPECT_EQ(string_at(*info, "backing-filename"), kUri);
    EXPECT_EQ(string_at(*info, "backing-filename-format"), "raw");
    EXPECT_EQ(string_at(*info, "format-specific.data.compat"), "1.1");
    struct stat facts{};
    ASSERT_EQ(::stat(file_.c_str(), &facts), 0);
    EXPECT_LT(static_cast<std::uint64_t>(facts.st_size), kMiB) << disk_bytes;
    EXPECT_LE(static_cast<std::uint64_t>(facts.st_blocks) * 512, 64 << 10) << disk_bytes;
  }
}

TEST_F(Qcow2OverlayTest, QemuWritesAndReadsAtBothEndsOverTheBackingDisk) {
  const auto base = folder_ / "base.raw";
  std::ofstream(base) << std::string(kMiB, 'b');
  ASSERT_TRUE(write_qcow2_overlay(file_, base.string(), 16 * kTiB - kMiB));
  output_of({"qemu-io", "-f", "qcow2", "-c", "write -P 0x77 64k 4k", "-c", "write -P 0x78 17592183947264 4k",
             file_.string()});
  const std::string read =
      output_of({"qemu-io", "-r", "-f", "qcow2", "-c", "read -P 0x62 0 64k", "-c", "read -P 0x77 64k 4k", "-c",
                 "read -P 0x62 68k 60k", "-c", "read -P 0x78 17592183947264 4k", file_.string()});
  EXPECT_EQ(read.find("failed"), std::string::npos) << read;
  output_of({"qemu-img", "check", "-q", "-f", "qcow2", file_.string()});
}

TEST_F(Qcow2OverlayTest, WhatIsNoDiskOrIsThereAlreadyIsRefused) {
  for (const std::uint64_t disk_bytes : {std::uint64_t{0}, std::uint64_t{1000}, 16 * kTiB + 512}) {
    EXPECT_EQ(write_qcow2_overlay(file_, kUri, disk_bytes).error().code(), Code::kInvalidArgument) << disk_bytes;
  }
  EXPECT_EQ(write_qcow2_overlay(file_, std::string(1024, 'x'), kMiB).error().code(), Code::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(file_));
  ASSERT_TRUE(write_qcow2_overlay(file_, kUri, kMiB));
  EXPECT_EQ(write_qcow2_overlay(file_, kUri, kMiB).error().code(), Code::kAlreadyExists);
}

}  // namespace
}  // namespace atelier::vm
