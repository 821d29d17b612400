// Disk files of every format go in and come out with the same root.
#include "atelier/disk_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "atelier/disk_file_fixture.h"
#include "image/sample_files_test_parts.h"

namespace atelier::cli {
namespace {

namespace fs = std::filesystem;
using image::run;

class DiskFiles : public DiskFileTest {
 protected:
  // Removed first: the sandbox that read the last one may not have gone yet, and has it locked.
  void convert(const std::string& options) const {
    fs::remove(file("disk"));
    run(fmt::format("qemu-img convert -f raw {} {} {}", options, file("disk.raw"), file("disk")));
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(dir_.path())) found.push_back(entry.path().filename().string());
    std::ranges::sort(found);
    return found;
  }
};

TEST_F(DiskFiles, EveryFormatGivesTheRootOfTheRawDisk) {
  for (const image::SampleFile& sample : image::sample_files()) {
    convert(sample.options);
    const auto root = put("disk");
    ASSERT_TRUE(root) << sample.name << ": " << root.error().message();
    EXPECT_EQ(root->hex(), root_.hex()) << sample.name;
  }
}

TEST_F(DiskFiles, EveryOptionThatQemuHasGivesTheRootOfTheRawDisk) {
  for (const std::string options :
       {"-O qcow2 -o cluster_size=512", "-O qcow2 -o cluster_size=2M", "-O qcow2 -o preallocation=full",
        "-O qcow2 -o refcount_bits=1", "-c -O qcow2 -o cluster_size=4k,compression_type=zstd",
        "-O vhdx -o block_size=256M", "-O vhdx -o block_state_zero=off", "-O vmdk -o compat6=on",
        "-O vmdk -o zeroed_grain=on", "-O vmdk -o adapter_type=lsilogic,hwversion=14",
        "-O vmdk -o subformat=streamOptimized,adapter_type=buslogic"}) {
    convert(options);
    const auto root = put("disk");
    ASSERT_TRUE(root) << options << ": " << root.error().message();
    EXPECT_EQ(root->hex(), root_.hex()) << options;
  }
}

TEST_F(DiskFiles, AVhdOfRoundedGeometryIsTheRoundedDiskThatItsWriterMade) {
  convert("-O vpc");  // by the geometry's size, larger than the disk
  const auto root = put("disk");
  ASSERT_TRUE(root) << root.error().message();
  const std::string rounded = bytes_of_image(*root);
  const std::string disk = bytes_of_file(file("disk.raw"));
  ASSERT_GT(rounded.size(), disk.size());
  EXPECT_EQ(rounded.substr(0, disk.size()), disk);
  EXPECT_EQ(rounded.find_first_not_of('\0', disk.size()), std::string::npos);
}

TEST_F(DiskFiles, AVhdHasTheSizeThatItsFooterStatesWhateverItsGeometrySays) {
  for (const char* const sample : {"vhd-dynamic", "vhd-fixed"}) {
    const auto& known = image::sample_files();
    const auto found = std::ranges::find(known, std::string(sample), &image::SampleFile::name);
    fs::remove(file("disk"));
    const image::OpenSample open(*found, file("disk.raw"), file("disk"));
    for (const image::FileField& field : open.fields()) {
      if (field.name == "creator") open.set(field, 0x76706320);  // "vpc ", whose geometry QEMU believes
      if (field.name == "cylinders") open.set(field, 2);
    }
    open.fix_checksums();
    const auto root = put("disk");
    ASSERT_TRUE(root) << sample << ": " << root.error().message();
    EXPECT_EQ(root->hex(), root_.hex()) << sample;
  }
}

struct Written {
  const char* format;
  const char* subformat;
  const char* driver;  // of QEMU, with what it needs to tell the disk's size
};
constexpr std::array kWritten = {
    Written{"raw", "", "driver=raw"},
    Written{"qcow2", "", "driver=qcow2"},
    Written{"vhd", "", "driver=vpc"},
    Written{"vhd", "dynamic", "driver=vpc"},
    Written{"vhd", "fixed", "driver=vpc"},
    Written{"vhdx", "", "driver=vhdx"},
    Written{"vhdx", "dynamic", "driver=vhdx"},
    Written{"vhdx", "fixed", "driver=vhdx"},
    Written{"vmdk", "", "driver=vmdk"},
    Written{"vmdk", "streamOptimized", "driver=vmdk"},
    Written{"vmdk", "monolithicSparse", "driver=vmdk"},
};

TEST_F(DiskFiles, WhatIsWrittenIsTheSameDiskToQemuAndToUs) {
  for (const Written& one : kWritten) {
    const std::string what = fmt::format("{} {}", one.format, one.subformat);
    fs::remove(file("out"));
    const Status status = get("out", one.format, one.subformat);
    ASSERT_TRUE(status) << what << ": " << status.error().message();
    run(fmt::format("qemu-img compare --image-opts driver=raw,file.filename={} {},file.filename={}", file("disk.raw"),
                    one.driver, file("out")));
    const auto root = put("out");
    ASSERT_TRUE(root) << what << ": " << root.error().message();
    EXPECT_EQ(root->hex(), root_.hex()) << what;
  }
  EXPECT_NE(run("head -c 2000 " + file("out")).find("monolithicSparse"), std::string::npos);
  EXPECT_EQ(names(), (std::vector<std::string>{"disk.raw", "out", "store"})) << "nothing else is left";
}

TEST_F(DiskFiles, AFormatOrSubformatThatIsNotWrittenIsRefused) {
  EXPECT_EQ(get("out", "vdi", "").error().code(), Code::kUnsupported);
  EXPECT_EQ(get("out", "qed", "").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(get("out", "qcow2", "fixed").error().code(), Code::kInvalidArgument);
  const auto refused = get("out", "vmdk", "monolithicFlat");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("streamOptimized and monolithicSparse"), std::string::npos)
      << refused.error().message();
  EXPECT_FALSE(fs::exists(file("out")));
}

TEST_F(DiskFiles, ADiskThatAFormatCannotHoldIsRefusedBeforeAByteIsWritten) {
  image::ImageRecord huge = image::find_image(*store_, root_).value().value();
  huge.root.bytes[0] ^= 1;  // an image that is only its record
  huge.disk_bytes = std::uint64_t{2200} << 30;
  root_ = image::commit_image(*store_, huge, 0).value().root;
  write("out", "as it was");
  for (const char* const format : {"vhd", "vmdk"}) {
    const auto refused = get("out", format, "");
    ASSERT_FALSE(refused) << format;
    EXPECT_EQ(refused.error().code(), Code::kTooLarge) << refused.error().message();
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"disk.raw", "out", "store"}));
  EXPECT_EQ(bytes_of_file(file("out")), "as it was");
}

TEST_F(DiskFiles, AFailureLeavesTheOldFileAndNoPart) {
  fs::create_directory(file("out"));  // which no file can replace
  const auto in_the_way = get("out", "qcow2", "");
  ASSERT_FALSE(in_the_way);
  EXPECT_EQ(in_the_way.error().message().find(dir_.path().string()), std::string::npos);
  EXPECT_EQ(names(), (std::vector<std::string>{"disk.raw", "out", "store"}));
  EXPECT_EQ(get("nowhere/out", "vhd", "").error().code(), Code::kNotFound);
  root_ = image::Digest{};
  EXPECT_EQ(get("other", "vhd", "").error().code(), Code::kNotFound);
  EXPECT_EQ(names(), (std::vector<std::string>{"disk.raw", "out", "store"}));
}

TEST_F(DiskFiles, ADiskOfAnotherSizeThanItsHeaderSaysIsRefused) {
  convert("-O qcow2");
  image::DiskFormat format = image::inspect_disk_file(file("disk")).value();
  format.virtual_bytes += 512;
  TaskContext task;
  const auto refused = store_disk_file(*store_, file("disk"), format, "", task);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument) << refused.error().message();
}

}  // namespace
}  // namespace atelier::cli
