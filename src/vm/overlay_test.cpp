#include "vm/overlay.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "vm/image_server.h"
#include "vm/process.h"

namespace atelier::vm {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

Result<Finished> tool(std::vector<std::string> arguments) {
  return run({.arguments = std::move(arguments), .confinement = {}});
}

class OverlayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *make_private_folder();
    std::filesystem::create_directory(folder_ / "disks");
    std::ofstream base(folder_ / "disks" / "base", std::ios::binary);
    base << std::string(kMiB, 'b');
    base.close();
    std::filesystem::resize_file(folder_ / "disks" / "base", 8 * kMiB);
    server_ = std::move(*ImageServer::open({.plugin = "file",
                                            .parameters = {"dir=" + (folder_ / "disks").string()},
                                            .socket = folder_ / "nbd.sock",
                                            .pid_file = folder_ / "nbd.pid",
                                            .log_file = {}}));
  }
  void TearDown() override {
    EXPECT_TRUE(server_->stop().has_value());
    std::filesystem::remove_all(folder_);
  }
  OverlayDisk overlay() const { return {.path = folder_ / "disk.qcow2", .backing = server_->disk("base", 8 * kMiB)}; }

  std::filesystem::path folder_;
  std::unique_ptr<ImageServer> server_;
};

TEST_F(OverlayTest, ANewOverlayOfAHugeDiskIsSmall) {
  OverlayDisk huge = overlay();
  huge.backing.disk_bytes = 40960 * kMiB;
  ASSERT_TRUE(create_overlay(huge).has_value());
  struct stat facts{};
  ASSERT_EQ(::stat(huge.path.c_str(), &facts), 0);
  EXPECT_LT(static_cast<std::uint64_t>(facts.st_blocks) * 512, kMiB);
}

TEST_F(OverlayTest, MakingItAgainLeavesItsBytesAlone) {
  ASSERT_TRUE(create_overlay(overlay()).has_value());
  const auto written = tool({"qemu-io", "-f", "qcow2", "-c", "write -P 0x77 0 64k", overlay().path.string()});
  ASSERT_EQ(written->exit_code, 0) << written->error;
  const auto size = std::filesystem::file_size(overlay().path);
  ASSERT_TRUE(create_overlay(overlay()).has_value());
  EXPECT_EQ(std::filesystem::file_size(overlay().path), size);
  OverlayDisk larger = overlay();
  larger.backing.disk_bytes *= 2;
  EXPECT_EQ(create_overlay(larger).error().code(), Code::kAlreadyExists);
}

TEST_F(OverlayTest, AnExportShowsWhatIsWrittenHereAndWhatIsOfTheBase) {
  ASSERT_TRUE(create_overlay(overlay()).has_value());
  const auto written = tool({"qemu-io", "-f", "qcow2", "-c", "write -P 0x77 2M 64k", overlay().path.string()});
  ASSERT_EQ(written->exit_code, 0) << written->error;
  const auto disk = export_overlay(overlay());
  ASSERT_TRUE(disk.has_value()) << disk.error().message();
  EXPECT_NE(tool({"nbdinfo", "--map=qemu:allocation-depth", disk->changes_uri()})->output.find("1  local"),
            std::string::npos);
  const auto map = tool({"nbdinfo", "--map=qemu:allocation-depth", disk->uri()});
  ASSERT_EQ(map->exit_code, 0) << map->error;
  // offset, length, type: the base's mebibyte, a hole of the base, ours, the base's rest.
  std::istringstream lines(map->output);
  std::vector<std::pair<std::uint64_t, int>> starts;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    int type = -1;
    fields >> offset >> length >> type;
    if (type == 1) starts.emplace_back(offset, static_cast<int>(length));
  }
  EXPECT_EQ(starts, (std::vector<std::pair<std::uint64_t, int>>{{2 * kMiB, 65536}})) << map->output;
  const auto copied = tool({"nbdcopy", disk->uri(), (folder_ / "copy").string()});
  ASSERT_EQ(copied->exit_code, 0) << copied->error;
  std::ifstream copy(folder_ / "copy", std::ios::binary);
  EXPECT_EQ(copy.get(), 'b');
  copy.seekg(2 * kMiB);
  EXPECT_EQ(copy.get(), 0x77);
}

TEST_F(OverlayTest, TheBackingIsTheOneGivenNotTheOneInTheHeader) {
  OverlayDisk wrong = overlay();
  wrong.backing.export_name = "elsewhere";
  ASSERT_TRUE(create_overlay(wrong).has_value());  // its header names a disk that does not exist
  const auto disk = export_overlay(overlay());
  ASSERT_TRUE(disk.has_value()) << disk.error().message();
  EXPECT_EQ(tool({"nbdinfo", "--size", disk->uri()})->output, std::to_string(8 * kMiB) + "\n");
}

TEST_F(OverlayTest, ADiskInUseIsNotExported) {
  ASSERT_TRUE(create_overlay(overlay()).has_value());
  const auto socket = (folder_ / "writer.sock").string();
  const auto writer =
      Child::start({.arguments = {"qemu-nbd", "--persistent", "--socket=" + socket, "-f", "qcow2",
                                  "--pid-file=" + (folder_ / "writer.pid").string(), overlay().path.string()},
                    .confinement = {}});
  ASSERT_TRUE(writer.has_value());
  while (!std::filesystem::exists(folder_ / "writer.pid")) {
  }
  const auto disk = export_overlay(overlay());
  ASSERT_FALSE(disk.has_value());
  EXPECT_EQ(disk.error().code(), Code::kFailedPrecondition) << disk.error().message();
}

TEST_F(OverlayTest, TheServerEndsWithTheExport) {
  ASSERT_TRUE(create_overlay(overlay()).has_value());
  std::string uri;
  {
    const auto disk = export_overlay(overlay());
    ASSERT_TRUE(disk.has_value());
    uri = disk->uri();
    EXPECT_EQ(tool({"nbdinfo", "--size", uri})->exit_code, 0);
  }
  EXPECT_NE(tool({"nbdinfo", "--size", uri})->exit_code, 0);
}

}  // namespace
}  // namespace atelier::vm
