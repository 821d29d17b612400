#include "vm/file_export.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "vm/process.h"

namespace atelier::vm {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

Result<Finished> tool(std::vector<std::string> arguments) {
  return run({.arguments = std::move(arguments), .confinement = {}});
}

class FileExportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *make_private_folder();
    std::ofstream(folder_ / "base", std::ios::binary) << std::string(kMiB, 'b');
    std::filesystem::resize_file(folder_ / "base", 8 * kMiB);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(FileExportTest, AnUploadedFileIsServedInItsFormat) {
  const auto raw = export_file(folder_ / "base", FileFormat::kRaw);
  ASSERT_TRUE(raw.has_value()) << raw.error().message();
  EXPECT_EQ(tool({"nbdinfo", "--size", raw->uri()})->output, std::to_string(8 * kMiB) + "\n");
  const auto file = (folder_ / "upload.qcow2").string();
  ASSERT_EQ(
      tool({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", (folder_ / "base").string(), file})->exit_code, 0);
  const auto qcow2 = export_file(file, FileFormat::kQcow2);
  ASSERT_TRUE(qcow2.has_value()) << qcow2.error().message();
  EXPECT_EQ(tool({"nbdinfo", "--size", qcow2->uri()})->output, std::to_string(8 * kMiB) + "\n");
  EXPECT_EQ(tool({"nbdcopy", qcow2->uri(), (folder_ / "copy").string()})->exit_code, 0);
  EXPECT_EQ(tool({"cmp", (folder_ / "copy").string(), (folder_ / "base").string()})->exit_code, 0);
}

TEST_F(FileExportTest, AnUploadedFileThatIsNoQcow2IsRefused) {
  const auto disk = export_file(folder_ / "base", FileFormat::kQcow2);
  ASSERT_FALSE(disk.has_value());
  EXPECT_EQ(disk.error().code(), Code::kInvalidArgument);
}

TEST_F(FileExportTest, AnUploadedFilesBackingFileIsNotRead) {
  const auto secret = (folder_ / "secret").string();
  std::ofstream(secret) << std::string(kMiB, 's');
  const auto file = (folder_ / "upload.qcow2").string();
  ASSERT_EQ(tool({"qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", file})->exit_code, 0);
  const auto disk = export_file(file, FileFormat::kQcow2);
  ASSERT_TRUE(disk.has_value()) << disk.error().message();
  ASSERT_EQ(tool({"nbdcopy", disk->uri(), (folder_ / "copy").string()})->exit_code, 0);
  std::ifstream copy(folder_ / "copy", std::ios::binary);
  EXPECT_EQ(copy.get(), 0);
}

TEST_F(FileExportTest, AnUploadedVmdkDoesNotReachTheFilesItNames) {
  // As if the inspector had let it pass: the sandbox alone has to hold.
  const auto secret = (folder_ / "secret").string();
  std::ofstream(secret) << std::string(kMiB, 's');
  for (const std::string& named : {secret, std::string("/etc/passwd"), std::string("/input")}) {
    for (const std::string extent : {"FLAT", "VMFS", "SPARSE"}) {
      const auto file = folder_ / "upload.vmdk";
      std::ofstream(file) << "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                          << "createType=\"monolithicFlat\"\nRW 2048 " << extent << " \"" << named << "\" 0\n"
                          << std::string(1024, '\n');
      const auto disk = export_file(file, FileFormat::kVmdk);
      if (named != "/input") {
        EXPECT_FALSE(disk.has_value()) << named << " as " << extent;
      } else if (disk.has_value()) {  // its own bytes and no others
        ASSERT_EQ(tool({"nbdcopy", disk->uri(), (folder_ / "copy").string()})->exit_code, 0);
        std::ifstream copy(folder_ / "copy", std::ios::binary);
        EXPECT_EQ(copy.get(), '#');
      }
    }
  }
}

TEST_F(FileExportTest, AnUploadedFilesDataFileIsNotRead) {
  const auto secret = (folder_ / "secret").string();
  std::ofstream(secret) << std::string(kMiB, 's');
  const auto file = (folder_ / "upload.qcow2").string();
  ASSERT_EQ(
      tool({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=" + secret + ",data_file_raw=on", file, "1M"})
          ->exit_code,
      0);
  EXPECT_FALSE(export_file(file, FileFormat::kQcow2).has_value());
}

}  // namespace
}  // namespace atelier::vm
