#include "image/inspect.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/disk_server_test_parts.h"

namespace atelier::image {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

Result<DiskFormat> inspect(const Bytes& bytes, const InspectOptions& options = {}) {
  return inspect_disk({bytes.size(),
                       [&](std::uint64_t offset, std::span<std::uint8_t> out) -> Status {
                         EXPECT_LE(offset + out.size(), bytes.size());
                         std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
                         return {};
                       }},
                      options);
}

void put(Bytes& bytes, std::size_t offset, std::string_view text) {
  std::copy(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}
void put_be(Bytes& bytes, std::size_t offset, std::size_t width, std::uint64_t value) {
  for (std::size_t i = 0; i < width; ++i) bytes[offset + i] = static_cast<std::uint8_t>(value >> (8 * (width - 1 - i)));
}

Bytes read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// A real qcow2 file of 8 MiB with one written cluster, by qemu-img and qemu-io.
Bytes real_qcow2(const std::string& options = "") {
  const TempDir dir;
  const std::string path = (dir.path() / "disk.qcow2").string();
  run("qemu-img create -q -f qcow2 " + options + " " + path + " 8M");
  run("qemu-io -f qcow2 -c 'write -P 7 1M 64k' " + path);
  return read_file(path);
}

Bytes raw_disk(std::size_t size = 1 << 20) {
  Bytes bytes(size);
  bytes[510] = 0x55;
  bytes[511] = 0xaa;
  return bytes;
}

void expect_refused(const Bytes& bytes, Code code, std::string_view part, const std::string& what) {
  const auto format = inspect(bytes);
  ASSERT_FALSE(format.has_value()) << what;
  EXPECT_EQ(format.error().code(), code) << what << ": " << format.error().message();
  EXPECT_NE(format.error().message().find(part), std::string::npos) << what << ": " << format.error().message();
}

TEST(Inspect, TakesEveryQcow2ThatQemuWritesWithItsSize) {
  for (const std::string options :
       {"", "-o compat=0.10", "-o cluster_size=512", "-o cluster_size=2M", "-o compression_type=zstd",
        "-o extended_l2=on,cluster_size=64k", "-o preallocation=metadata", "-o preallocation=full",
        "-o lazy_refcounts=on", "-o refcount_bits=1", "-o refcount_bits=64"}) {
    const auto format = inspect(real_qcow2(options));
    ASSERT_TRUE(format.has_value()) << options << ": " << format.error().message();
    EXPECT_EQ(format->kind, DiskFormat::Kind::kQcow2) << options;
    EXPECT_EQ(format->virtual_bytes, 8U << 20) << options;
  }
}

TEST(Inspect, TakesQcow2WithSnapshotsBitmapsAndCompressedClusters) {
  const TempDir dir;
  const std::string path = (dir.path() / "disk.qcow2").string();
  run("qemu-img create -q -f qcow2 " + path + " 8M");
  run("qemu-io -f qcow2 -c 'write -P 7 1M 64k' -c 'write -c -P 9 2M 64k' " + path);
  run("qemu-img snapshot -c first " + path + " && qemu-img snapshot -c second " + path);
  run("qemu-img bitmap --add " + path + " changes");
  run("qemu-io -f qcow2 -c 'write -P 8 3M 64k' -c 'write -z 4M 128k' -c 'discard 1M 64k' " + path);
  const auto format = inspect_disk_file(path);
  ASSERT_TRUE(format.has_value()) << format.error().message();
  EXPECT_EQ(format->virtual_bytes, 8U << 20);
}

TEST(Inspect, AgreesWithQemuAboutTheSizeOfAnAcceptedFile) {
  const TempDir dir;
  const std::string path = (dir.path() / "disk.qcow2").string();
  for (const std::string size : {"512", "1M", "10737418240", "16000000000000"}) {
    run(fmt::format("qemu-img create -q -f qcow2 {} {}", path, size));
    const auto format = inspect_disk_file(path);
    ASSERT_TRUE(format.has_value()) << size << ": " << format.error().message();
    const auto info = parse_json_object(run("qemu-img info --output=json -f qcow2 " + path));
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(format->virtual_bytes, uint_at(*info, "virtual-size")) << size;
  }
}

TEST(Inspect, RefusesABackingFileAndADataFileThatQemuWrote) {
  const TempDir dir;
  const std::string base = (dir.path() / "secret").string();
  const std::string path = (dir.path() / "disk.qcow2").string();
  std::ofstream(base) << std::string(1 << 20, 's');
  run("qemu-img create -q -f qcow2 -b " + base + " -F raw " + path);
  expect_refused(read_file(path), Code::kInvalidArgument, "backing file", "backing file");
  run("qemu-img create -q -f qcow2 -o data_file=" + base + ",data_file_raw=on " + path + " 1M");
  expect_refused(read_file(path), Code::kInvalidArgument, "another file", "data file");
}

TEST(Inspect, RefusesAQcow2ThatWasCutOff) {
  const Bytes whole = real_qcow2();
  ASSERT_TRUE(inspect(whole).has_value());
  for (std::size_t size = 0; size + 65536 <= whole.size(); size += 512) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_FALSE(inspect(part).has_value()) << "cut to " << size << " of " << whole.size();
  }
}

struct Field {
  const char* name;
  std::size_t offset;
  std::size_t width;
};
constexpr std::array kFields = {
    Field{"version", 4, 4},
    Field{"backing offset", 8, 8},
    Field{"backing size", 16, 4},
    Field{"cluster bits", 20, 4},
    Field{"size", 24, 8},
    Field{"encryption", 32, 4},
    Field{"L1 entries", 36, 4},
    Field{"L1 offset", 40, 8},
    Field{"refcount offset", 48, 8},
    Field{"refcount clusters", 56, 4},
    Field{"snapshots", 60, 4},
    Field{"snapshots offset", 64, 8},
    Field{"incompatible", 72, 8},
    Field{"compatible", 80, 8},
    Field{"autoclear", 88, 8},
    Field{"refcount order", 96, 4},
    Field{"header bytes", 100, 4},
};

std::uint64_t largest(std::size_t width) {
  return width == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * width)) - 1;
}

TEST(Inspect, EvilHeaderFieldsAreRefusedOrHarmless) {
  const Bytes whole = real_qcow2();
  for (const Field& field : kFields) {
    const std::uint64_t max = largest(field.width);
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, max / 2, max / 2 + 1, max - 1, max}) {
      Bytes evil = whole;
      put_be(evil, field.offset, field.width, value);
      const auto format = inspect(evil);
      const std::string_view name = field.name;
      const bool is_free = name == "compatible" || name == "autoclear" || name == "snapshots offset";
      const bool is_harmless =
          is_free ||
          (value == 0 && (name == "backing offset" || name == "backing size" || name == "encryption" ||
                          name == "snapshots" || name == "incompatible" || name == "refcount order")) ||
          (value == 1 &&
           (name == "L1 entries" || name == "refcount clusters" || name == "refcount order" || name == "incompatible"));
      EXPECT_EQ(format.has_value(), is_harmless)
          << name << " = " << value << (format ? " was taken" : ": " + format.error().message());
      if (!format) {
        EXPECT_TRUE(format.error().code() == Code::kInvalidArgument || format.error().code() == Code::kTooLarge)
            << name;
      } else {
        EXPECT_EQ(format->virtual_bytes, 8U << 20) << name;
      }
    }
  }
}

TEST(Inspect, EveryUnknownIncompatibleFeatureIsRefused) {
  const Bytes whole = real_qcow2();
  for (unsigned bit = 5; bit < 64; ++bit) {
    Bytes evil = whole;
    put_be(evil, 72, 8, std::uint64_t{1} << bit);
    expect_refused(evil, Code::kInvalidArgument, "not known here", "bit " + std::to_string(bit));
  }
  Bytes evil = whole;
  put_be(evil, 72, 8, 1U << 2);
  expect_refused(evil, Code::kInvalidArgument, "another file", "data file");
  put_be(evil, 72, 8, 1U << 1);
  expect_refused(evil, Code::kInvalidArgument, "corrupt", "corrupt");
}

TEST(Inspect, EvilTablesAreRefused) {
  const Bytes whole = real_qcow2();
  struct Case {
    const char* name;
    std::size_t offset;
    std::size_t width;
    std::uint64_t value;
    const char* part;
  };
  const std::uint64_t end = whole.size();
  constexpr std::size_t kL1 = std::size_t{3} * 65536;  // where qemu-img puts it, after header, refcount table and block
  for (const Case& one : std::initializer_list<Case>{
           {"L1 behind the end", 40, 8, end, "outside the file"},
           {"L1 with too many entries", 36, 4, (32U << 20) / 8 + 1, "L1 table"},
           {"L1 in the header", 40, 8, 512, "impossible place"},
           {"refcount table behind the end", 48, 8, end, "outside the file"},
           {"refcount table of 9 MiB", 56, 4, 144, "reference count table"},
           {"a snapshot behind the end", 60, 4, 1, "snapshot table"},
           {"65537 snapshots", 60, 4, 65537, "snapshots"},
           {"L2 table behind the end", kL1, 8, end, "behind the end"},
           {"L2 table between clusters", kL1, 8, kL1 + 512, "between two clusters"},
           {"a size of 2^62", 24, 8, std::uint64_t{1} << 62, "at most 16.0 TiB"},
           {"a size of 17 TiB", 24, 8, std::uint64_t{17} << 40, "at most 16.0 TiB"},
           {"a size of 513", 24, 8, 513, "multiple of 512"},
           {"version 1", 4, 4, 1, "version is 1"},
           {"version 4", 4, 4, 4, "version is 4"},
           {"encryption", 32, 4, 1, "encrypted"},
           {"LUKS", 32, 4, 2, "encrypted"},
       }) {
    Bytes evil = whole;
    put_be(evil, one.offset, one.width, one.value);
    const auto format = inspect(evil);
    ASSERT_FALSE(format.has_value()) << one.name;
    EXPECT_NE(format.error().message().find(one.part), std::string::npos)
        << one.name << ": " << format.error().message();
  }
}

TEST(Inspect, OneL2TableUsedTwiceIsRefused) {
  const TempDir dir;
  const std::string path = (dir.path() / "disk.qcow2").string();
  run("qemu-img create -q -f qcow2 -o cluster_size=512 " + path + " 1M");  // an L2 table of 512 bytes covers 32 KiB
  run("qemu-io -f qcow2 -c 'write -P 7 0 512' " + path);
  Bytes evil = read_file(path);
  std::uint64_t l1 = 0;
  for (std::size_t i = 40; i < 48; ++i) l1 = l1 << 8 | evil[i];
  std::copy_n(evil.begin() + static_cast<std::ptrdiff_t>(l1), 8, evil.begin() + static_cast<std::ptrdiff_t>(l1) + 8);
  expect_refused(evil, Code::kInvalidArgument, "twice", "shared L2");
}

TEST(Inspect, EvilHeaderExtensionsAreRefused) {
  struct Case {
    const char* name;
    std::uint32_t type;
    std::uint32_t length;
    const char* part;
  };
  const Bytes whole = real_qcow2();
  for (const Case& one : std::initializer_list<Case>{
           {"data file name", 0x44415441, 11, "external data file"},
           {"encryption", 0x0537be77, 16, "encrypted"},
           {"too long", 0x12345678, 0xffffffff, "outside the header"},
           {"a little too long", 0x12345678, 65536 - 112 - 8 + 1, "outside the header"},
           {"bitmaps of a wrong length", 0x23852875, 8, "bitmap"},
       }) {
    Bytes evil = whole;
    put_be(evil, 112, 4, one.type);
    put_be(evil, 116, 4, one.length);
    expect_refused(evil, Code::kInvalidArgument, one.part, one.name);
  }
}

TEST(Inspect, TakesRawDisksWithAPartitionTableOrAFileSystem) {
  const TempDir dir;
  const std::string path = (dir.path() / "disk.raw").string();
  for (const std::string command : {"printf 'label: dos\nstart=2048,type=83\n' | sfdisk -q $DISK",
                                    "printf 'label: gpt\nstart=2048\n' | sfdisk -q $DISK", "mke2fs -q -F -t ext4 $DISK",
                                    "mke2fs -q -F -t ext2 $DISK", "mkfs.vfat -F 16 $DISK", "mkfs.vfat -F 32 $DISK"}) {
    fs::remove(path);
    std::ofstream(path).close();
    fs::resize_file(path, 64 << 20);
    run(fmt::format("DISK={}; {} >/dev/null 2>&1", path, command));
    const auto format = inspect_disk_file(path);
    ASSERT_TRUE(format.has_value()) << command << ": " << format.error().message();
    EXPECT_EQ(format->kind, DiskFormat::Kind::kRaw);
    EXPECT_EQ(format->virtual_bytes, 64U << 20);
  }
}

TEST(Inspect, TakesTheSuperblocksOfOtherFileSystems) {
  struct Case {
    std::size_t offset;
    std::string_view magic;
  };
  for (const Case& one : {Case{0, "XFSB"}, Case{0x10040, "_BHRfS_M"}, Case{3, "NTFS    "}, Case{3, "EXFAT   "},
                          Case{512, "LABELONE"}, Case{512, "EFI PART"}, Case{4096, "EFI PART"}}) {
    Bytes bytes(1 << 20);
    put(bytes, one.offset, one.magic);
    EXPECT_TRUE(inspect(bytes).has_value()) << one.magic;
  }
}

TEST(Inspect, RefusesRawDisksOfAnImpossibleSize) {
  EXPECT_TRUE(inspect(raw_disk(1 << 20)).has_value());
  expect_refused(raw_disk((1 << 20) - 512), Code::kInvalidArgument, "smaller than 1 MiB", "small");
  expect_refused(raw_disk((1 << 20) + 1), Code::kInvalidArgument, "multiple of 512", "odd");
  const auto format = inspect(raw_disk(2 << 20), {.virtual_bytes_max = 1 << 20});
  ASSERT_FALSE(format.has_value());
  EXPECT_EQ(format.error().code(), Code::kTooLarge);
}

TEST(Inspect, RefusesWhatIsNoDiskAndSaysWhatItSees) {
  using namespace std::literals;
  struct Case {
    std::string_view start;
    std::string_view part;
  };
  for (const Case& one : {Case{"\x89PNG\r\n\x1a\n"sv, "PNG"sv}, Case{"PK\x03\x04"sv, "zip"sv},
                          Case{"\x1f\x8b"sv, "gzip"sv}, Case{"%PDF-1.7"sv, "PDF"sv},
                          Case{"\x7f"
                               "ELF"sv,
                               "program"sv},
                          Case{"\0\0\0\0"sv, "neither"sv}}) {
    Bytes bytes(2 << 20);
    put(bytes, 0, one.start);
    expect_refused(bytes, Code::kInvalidArgument, one.part, std::string(one.part));
  }
  expect_refused({}, Code::kInvalidArgument, "empty", "empty");
  expect_refused(Bytes(3 << 20, 'x'), Code::kInvalidArgument, "text", "text");
  expect_refused(Bytes(1, 'x'), Code::kInvalidArgument, "text", "one letter");
  expect_refused(Bytes(511, 0), Code::kInvalidArgument, "no disk", "short");
}

TEST(Inspect, NamesTheFormatsThatAreNotTaken) {
  const TempDir dir;
  const std::string path = (dir.path() / "disk").string();
  run("qemu-img create -q -f qed " + path + " 8M");
  expect_refused(read_file(path), Code::kUnsupported, "QED", "QED");
  for (const std::string subformat : {"monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"}) {
    run("qemu-img create -q -f vmdk -o subformat=" + subformat + " " + path + ".vmdk 8M");
    expect_refused(read_file(path + ".vmdk"), Code::kUnsupported, "data is in other files", subformat);
  }
  const std::string descriptor = "# any comment\n\nversion=1\ncreateType=\"vmfs\"\n" + std::string(600, '\n');
  expect_refused(Bytes(descriptor.begin(), descriptor.end()), Code::kUnsupported, "data is in other files", "comment");
  Bytes old = raw_disk();
  put(old, 0, "COWD");
  expect_refused(old, Code::kUnsupported, "old kind", "COWD");
}

TEST(Inspect, AFileOfTwoFormatsIsRefused) {
  using namespace std::literals;
  Bytes bytes = real_qcow2();
  put(bytes, bytes.size() - 512, "conectix"sv);
  expect_refused(bytes, Code::kInvalidArgument, "two formats", "qcow2 and VHD");
  bytes = real_qcow2();
  put(bytes, 0x8001, "CD001"sv);
  expect_refused(bytes, Code::kInvalidArgument, "two formats", "qcow2 and ISO");
}

TEST(Inspect, ARawDiskThatStartsLikeAnotherFormatIsNotRaw) {
  using namespace std::literals;
  Bytes bytes = raw_disk();
  put(bytes, 0, "KDMV"sv);
  expect_refused(bytes, Code::kInvalidArgument, "VMDK", "VMDK");
  bytes = raw_disk();
  put(bytes, 0, "QFI\xfb\0\0\0\3"sv);
  expect_refused(bytes, Code::kInvalidArgument, "qcow2", "qcow2");
  bytes = raw_disk();
  put(bytes, bytes.size() - 512, "conectix"sv);  // a footer's first bytes, and no more of one
  expect_refused(bytes, Code::kInvalidArgument, "wrong checksum", "VHD");
}

TEST(Inspect, OpensOnlyRegularFiles) {
  const TempDir dir;
  const fs::path link = dir.path() / "link";
  std::ofstream(dir.path() / "disk") << "x";
  fs::create_symlink(dir.path() / "disk", link);
  EXPECT_FALSE(inspect_disk_file(link).has_value());
  EXPECT_FALSE(inspect_disk_file(dir.path()).has_value());
  const fs::path fifo = dir.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(inspect_disk_file(fifo).has_value());
  const auto missing = inspect_disk_file(dir.path() / "missing");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().message().find(dir.path().string()), std::string::npos);
}

}  // namespace
}  // namespace atelier::image
