#include "image/sample_files_test_parts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <span>

#include "image/disk_server_test_parts.h"
#include "image/format_checksums_test_parts.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kKiB = 1024;

std::vector<FileField> big_endian(std::vector<FileField> fields) {
  for (FileField& field : fields) field.is_big_endian = true;
  return fields;
}

std::string number_text(std::uint64_t value, std::size_t bytes, bool is_big_endian) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    text[is_big_endian ? bytes - 1 - i : i] = static_cast<char>(value >> (8 * i) & 0xff);
  }
  return text;
}

std::vector<FileField> qcow2_fields(std::uint64_t l1, std::uint64_t l2, bool is_version_3) {
  std::vector<FileField> fields = {{"version", {4}},
                                   {"backing offset", {8}, 8},
                                   {"backing size", {16}},
                                   {"cluster bits", {20}},
                                   {"size", {24}, 8},
                                   {"encryption", {32}},
                                   {"L1 entries", {36}},
                                   {"L1 offset", {40}, 8},
                                   {"refcount offset", {48}, 8},
                                   {"refcount clusters", {56}},
                                   {"snapshots", {60}},
                                   {"snapshots offset", {64}, 8},
                                   {"L1 entry", {l1}, 8},
                                   {"L2 entry", {l2}, 8}};
  if (is_version_3) {
    for (const FileField& field : std::vector<FileField>{{"incompatible", {72}, 8},
                                                         {"compatible", {80}, 8},
                                                         {"autoclear", {88}, 8},
                                                         {"refcount order", {96}},
                                                         {"header bytes", {100}},
                                                         {"compression", {104}, 1}}) {
      fields.push_back(field);
    }
  }
  return big_endian(std::move(fields));
}

// `at`: where the footer stands, once or twice.
std::vector<FileField> vhd_fields(const std::vector<std::uint64_t>& at) {
  const auto in_footer = [&](std::uint64_t offset) {
    std::vector<std::uint64_t> offsets;
    for (const std::uint64_t start : at) offsets.push_back(start + offset);
    return offsets;
  };
  std::vector<FileField> fields = {{"features", in_footer(8)},
                                   {"version", in_footer(12)},
                                   {"data offset", in_footer(16), 8},
                                   {"timestamp", in_footer(24)},
                                   {"creator", in_footer(28)},
                                   {"original size", in_footer(40), 8},
                                   {"current size", in_footer(48), 8},
                                   {"cylinders", in_footer(56), 2},
                                   {"heads", in_footer(58), 1},
                                   {"sectors per track", in_footer(59), 1},
                                   {"type", in_footer(60)},
                                   {"saved state", in_footer(84), 1}};
  if (at.size() == 2) {
    for (const FileField& field : std::vector<FileField>{{"table offset", {512 + 16}, 8},
                                                         {"header version", {512 + 24}},
                                                         {"table entries", {512 + 28}},
                                                         {"block size", {512 + 32}},
                                                         {"parent id", {512 + 40}, 8},
                                                         {"parent name", {512 + 64}, 8},
                                                         {"parent locator", {512 + 576}, 8},
                                                         {"parent locator offset", {512 + 592}, 8},
                                                         {"table entry", {1536}}}) {
      fields.push_back(field);
    }
  }
  return big_endian(std::move(fields));
}

std::vector<FileField> vhdx_fields(std::uint64_t table, std::uint64_t metadata) {
  const auto in_headers = [](std::uint64_t at) { return std::vector<std::uint64_t>{64 * kKiB + at, 128 * kKiB + at}; };
  const auto in_regions = [](std::uint64_t at) { return std::vector<std::uint64_t>{192 * kKiB + at, 256 * kKiB + at}; };
  std::vector<FileField> fields = {{"sequence", in_headers(8), 8},
                                   {"log id", in_headers(48), 8},
                                   {"log version", in_headers(64), 2},
                                   {"version", in_headers(66), 2},
                                   {"log length", in_headers(68)},
                                   {"log offset", in_headers(72), 8},
                                   {"region count", in_regions(8)},
                                   {"first region's id", in_regions(16), 8},
                                   {"first region's offset", in_regions(32), 8},
                                   {"first region's length", in_regions(40)},
                                   {"second region's offset", in_regions(64), 8},
                                   {"second region's length", in_regions(72)},
                                   {"metadata count", {metadata + 10}, 2},
                                   {"table entry", {table}, 8}};
  for (std::uint64_t i = 0; i < 5; ++i) {  // QEMU writes five parts
    const std::uint64_t at = metadata + 32 + i * 32;
    const std::string part = "metadata part " + std::to_string(i);
    fields.push_back({part + "'s id", {at}, 8});
    fields.push_back({part + "'s offset", {at + 16}});
    fields.push_back({part + "'s length", {at + 20}});
    fields.push_back({part + "'s flags", {at + 24}});
    fields.push_back({part, {metadata + 64 * kKiB + i * 4}});  // they stand one behind the other
  }
  return fields;
}

std::vector<FileField> vmdk_fields(std::uint64_t directory, std::uint64_t table) {
  return {{"version", {4}},
          {"flags", {8}},
          {"capacity", {12}, 8},
          {"grain size", {20}, 8},
          {"descriptor offset", {28}, 8},
          {"descriptor size", {36}, 8},
          {"table entries", {44}},
          {"second directory", {48}, 8},
          {"directory", {56}, 8},
          {"overhead", {64}, 8},
          {"unclean", {72}, 1},
          {"newlines", {73}},
          {"compression", {77}, 2},
          {"directory entry", {directory}},
          {"table entry", {table}}};
}

std::vector<FileField> vdi_fields(std::uint64_t map) {
  return {{"version", {68}},      {"header size", {72}}, {"type", {76}},
          {"flags", {80}},        {"map offset", {340}}, {"data offset", {344}},
          {"cylinders", {348}},   {"heads", {352}},      {"sectors", {356}},
          {"sector size", {360}}, {"size", {368}, 8},    {"block size", {376}},
          {"block extra", {380}}, {"blocks", {384}},     {"allocated blocks", {388}},
          {"id", {392}, 8},       {"link", {424}, 8},    {"parent", {440}, 8},
          {"map entry", {map}}};
}

}  // namespace

std::vector<std::uint64_t> edge_values(std::size_t bytes) {
  const std::uint64_t max = bytes == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * bytes)) - 1;
  return {0, 1, max / 2, max / 2 + 1, max - 1, max};
}

const std::vector<SampleFile>& sample_files() {
  static const std::vector<SampleFile> files = {
      {"qcow2-2", "-O qcow2 -o compat=0.10"},
      {"qcow2-3", "-O qcow2"},
      {"qcow2-zlib", "-c -O qcow2 -o compat=0.10"},
      {"qcow2-zstd", "-c -O qcow2 -o compression_type=zstd"},
      {"qcow2-subclusters", "-O qcow2 -o extended_l2=on"},
      {"vhd-fixed", "-O vpc -o subformat=fixed,force_size=on"},
      {"vhd-dynamic", "-O vpc -o subformat=dynamic,force_size=on"},
      {"vhdx-dynamic", "-O vhdx -o block_size=1M,log_size=1M"},
      {"vhdx-fixed", "-O vhdx -o subformat=fixed,block_size=1M,log_size=1M"},
      {"vmdk-sparse", "-O vmdk -o subformat=monolithicSparse"},
      {"vmdk-stream", "-O vmdk -o subformat=streamOptimized"},
      {"vdi-dynamic", "-O vdi"},
      {"vdi-static", "-O vdi -o static=on"},
  };
  return files;
}

OpenSample::OpenSample(const SampleFile& sample, const std::filesystem::path& raw, const std::filesystem::path& path)
    : name_(sample.name), path_(path) {
  run("qemu-img convert -f raw " + sample.options + " " + raw.string() + " " + path.string());
  fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_GE(fd_, 0);
}

OpenSample::~OpenSample() { ::close(fd_); }

std::uint64_t OpenSample::size() const {
  struct stat status{};
  EXPECT_EQ(::fstat(fd_, &status), 0);
  return static_cast<std::uint64_t>(status.st_size);
}

std::string OpenSample::read(std::uint64_t offset, std::size_t bytes) const {
  std::string text(bytes, '\0');
  EXPECT_EQ(::pread(fd_, text.data(), bytes, static_cast<off_t>(offset)), static_cast<ssize_t>(bytes)) << name_;
  return text;
}

void OpenSample::write(std::uint64_t offset, const std::string& bytes) const {
  EXPECT_EQ(::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)), static_cast<ssize_t>(bytes.size()));
}

std::uint64_t OpenSample::number(std::uint64_t offset, std::size_t bytes, bool is_big_endian) const {
  const std::string text = read(offset, bytes);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value = value << 8 | static_cast<unsigned char>(text[is_big_endian ? i : bytes - 1 - i]);
  }
  return value;
}

std::vector<FileField> OpenSample::fields() const {
  if (name_.starts_with("qcow2")) {
    const std::uint64_t l1 = number(40, 8, true);
    return qcow2_fields(l1, number(l1, 8, true) & 0x00fffffffffffe00, number(4, 4, true) == 3);
  }
  if (name_ == "vhd-fixed") return vhd_fields({size() - 512});
  if (name_ == "vhd-dynamic") return vhd_fields({0, size() - 512});
  if (name_.starts_with("vhdx")) {
    return vhdx_fields(number(192 * kKiB + 32, 8, false), number(192 * kKiB + 64, 8, false));
  }
  if (name_.starts_with("vmdk")) {
    const std::uint64_t directory = number(56, 8, false) * 512;
    return vmdk_fields(directory, number(directory, 4, false) * 512);
  }
  return vdi_fields(number(340, 4, false));
}

std::uint64_t OpenSample::get(const FileField& field) const {
  return number(field.offsets.front(), field.bytes, field.is_big_endian);
}

void OpenSample::set(const FileField& field, std::uint64_t value) const {
  for (const std::uint64_t offset : field.offsets) {
    write(offset, number_text(value, field.bytes, field.is_big_endian));
  }
}

void OpenSample::fix_checksums() const {
  const auto fix = [&](std::uint64_t at, std::size_t bytes, const auto& put_checksum) {
    std::string block = read(at, bytes);
    put_checksum(std::span(reinterpret_cast<std::uint8_t*>(block.data()), block.size()));
    write(at, block);
  };
  if (name_.starts_with("vhd-")) {
    for (const std::uint64_t at : {std::uint64_t{0}, size() - 512}) {
      if (read(at, 8) == "conectix") fix(at, 512, [](auto block) { put_vhd_checksum(block, 64); });
    }
    if (read(512, 8) == "cxsparse") fix(512, 1024, [](auto block) { put_vhd_checksum(block, 36); });
  } else if (name_.starts_with("vhdx")) {
    for (const std::uint64_t at : {64 * kKiB, 128 * kKiB}) fix(at, 4096, [](auto block) { put_crc32c(block); });
    for (const std::uint64_t at : {192 * kKiB, 256 * kKiB}) fix(at, 64 * kKiB, [](auto block) { put_crc32c(block); });
  }
}

}  // namespace atelier::image
