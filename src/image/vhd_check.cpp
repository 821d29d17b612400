#include "image/vhd_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <vector>

#include "image/byte_order.h"
#include "image/format_rules.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kVirtualBytesMax = std::uint64_t{2040} << 30;  // the format's own bound
constexpr std::uint64_t kBlockBytesMin = 4096;
constexpr std::uint64_t kBlockBytesMax = 256U << 20;
constexpr std::uint64_t kTableBytesMax = 32U << 20;
constexpr std::uint64_t kNoOffset = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint32_t kVersion1 = 0x00010000;
constexpr std::uint32_t kUnused = 0xffffffff;  // a block that reads as zeros

using Footer = std::array<std::uint8_t, 512>;
using DynamicHeader = std::array<std::uint8_t, 1024>;

std::unexpected<Error> refuse(std::string_view why) { return refuse_file("VHD", why); }

bool starts_with(std::span<const std::uint8_t> bytes, std::string_view text) {
  return std::equal(text.begin(), text.end(), bytes.begin(),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

// One's complement of the sum of all bytes but the checksum's own four.
std::uint32_t checksum_of(std::span<const std::uint8_t> bytes, std::size_t checksum_at) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i < checksum_at || i >= checksum_at + 4) sum += bytes[i];
  }
  return ~sum;
}

Status check_footer(const Footer& footer) {
  if (checksum_of(footer, 64) != big_endian_at<std::uint32_t>(footer, 64)) {
    return refuse(
        "its last sector is a VHD footer with a wrong checksum. Send it again; if the file is meant to be a "
        "raw disk, convert it to qcow2 with qemu-img convert -f raw.");
  }
  if (big_endian_at<std::uint32_t>(footer, 12) != kVersion1) return refuse("its version is not 1.0.");
  if (footer[84] != 0) return refuse("it holds a saved state of a virtual machine.");
  return {};
}

struct DynamicDisk {
  std::uint64_t virtual_bytes = 0;
  std::uint64_t header_offset = 0;
  std::uint64_t table_offset = 0;
  std::uint64_t table_entries = 0;
  std::uint64_t block_bytes = 0;

  // A block's sectors are preceded by a bitmap of them, in whole sectors.
  std::uint64_t stored_sectors() const {
    const std::uint64_t sectors = block_bytes / kSectorBytes;
    const std::uint64_t bitmap_bytes = (sectors + 7) / 8;
    return sectors + (bitmap_bytes + kSectorBytes - 1) / kSectorBytes;
  }
  std::uint64_t table_bytes() const { return table_entries * 4; }
  std::uint64_t data_offset() const {
    const std::uint64_t table_end = table_offset + (table_bytes() + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
    return std::max(table_end, header_offset + sizeof(DynamicHeader));
  }
};

Result<DynamicDisk> read_dynamic_header(const DiskBytes& bytes, const Footer& footer) {
  const std::uint64_t end = bytes.size_bytes - kSectorBytes;  // where the footer begins
  DynamicDisk disk;
  disk.virtual_bytes = big_endian_at<std::uint64_t>(footer, 48);
  disk.header_offset = big_endian_at<std::uint64_t>(footer, 16);
  DynamicHeader header{};
  if (disk.header_offset < kSectorBytes || disk.header_offset % kSectorBytes != 0 || end < header.size() ||
      disk.header_offset > end - header.size()) {
    return refuse(fmt::format("its header is at the impossible place {}.", disk.header_offset));
  }
  TRY(bytes.read(disk.header_offset, header, "its header"));
  if (!starts_with(header, "cxsparse")) return refuse("it has no header where its footer says.");
  if (checksum_of(header, 36) != big_endian_at<std::uint32_t>(header, 36)) {
    return refuse("the checksum of its header is wrong. Send it again.");
  }
  if (big_endian_at<std::uint32_t>(header, 24) != kVersion1) return refuse("its header's version is not 1.0.");
  const std::span<const std::uint8_t> all(header);
  const bool has_parent =
      !is_all_zero(all.subspan(40, 16)) || !is_all_zero(all.subspan(64, 512)) || !is_all_zero(all.subspan(576, 192));
  if (has_parent) return refuse("it names a parent disk. Merge them into one file first.");
  disk.table_offset = big_endian_at<std::uint64_t>(header, 16);
  disk.table_entries = big_endian_at<std::uint32_t>(header, 28);
  disk.block_bytes = big_endian_at<std::uint32_t>(header, 32);
  return disk;
}

Status check_dynamic_disk(const DynamicDisk& disk, std::uint64_t footer_offset) {
  if (!is_power_of_two(disk.block_bytes) || disk.block_bytes < kBlockBytesMin || disk.block_bytes > kBlockBytesMax) {
    return refuse(fmt::format("its blocks have {} bytes.", disk.block_bytes));
  }
  if (disk.table_bytes() > kTableBytesMax) {
    return refuse(fmt::format("its block table has {} entries.", disk.table_entries));
  }
  if (disk.table_entries < (disk.virtual_bytes - 1) / disk.block_bytes + 1) {
    return refuse("its block table is too small for its disk.");
  }
  if (disk.table_offset < kSectorBytes || disk.table_offset % kSectorBytes != 0 || disk.table_offset > footer_offset ||
      disk.table_bytes() > footer_offset - disk.table_offset) {
    return refuse("its block table lies outside the file.");
  }
  const bool is_behind = disk.table_offset >= disk.header_offset + sizeof(DynamicHeader);
  const bool is_before = disk.table_offset + disk.table_bytes() <= disk.header_offset;
  if (!is_behind && !is_before) return refuse("its block table overlaps its header.");
  return {};
}

Status check_blocks(const DiskBytes& bytes, const DynamicDisk& disk) {
  std::vector<std::uint32_t> starts;  // sectors; the table's bound is theirs too
  const TablePlace place{disk.table_offset, disk.table_bytes(), 4, "its block table"};
  TRY(read_table(bytes, place, [&](std::span<const std::uint8_t> piece) -> Status {
    for (std::size_t at = 0; at < piece.size(); at += 4) {
      const auto start = big_endian_at<std::uint32_t>(piece, at);
      if (start != kUnused) starts.push_back(start);
    }
    return {};
  }));
  std::ranges::sort(starts);
  std::uint64_t free_sector = disk.data_offset() / kSectorBytes;
  for (const std::uint32_t start : starts) {
    if (start < free_sector) return refuse("a block overlaps another one or a table.");
    free_sector = start + disk.stored_sectors();
  }
  if (free_sector * kSectorBytes > bytes.size_bytes - kSectorBytes) {
    return refuse("a block lies behind the end of the file. The file was cut off: send it again.");
  }
  return {};
}

}  // namespace

Result<DiskFormat> check_vhd(const DiskBytes& bytes, const InspectOptions& options) {
  constexpr std::uint32_t kFixed = 2;
  constexpr std::uint32_t kDynamic = 3;
  constexpr std::uint32_t kDifferencing = 4;
  if (bytes.size_bytes < 2 * kSectorBytes) return refuse("it is too short.");
  const std::uint64_t footer_offset = bytes.size_bytes - kSectorBytes;
  Footer footer{};
  Footer first{};
  TRY(bytes.read(footer_offset, footer, "its footer"));
  TRY(bytes.read(0, first, "its first sector"));
  if (!starts_with(footer, "conectix")) return refuse("it does not end with a footer. It was cut off: send it again.");
  TRY(check_footer(footer));

  const std::uint64_t virtual_bytes = big_endian_at<std::uint64_t>(footer, 48);
  InspectOptions bounds = options;
  bounds.virtual_bytes_max = std::min(bounds.virtual_bytes_max, kVirtualBytesMax);
  TRY(check_virtual_bytes("VHD", virtual_bytes, bounds));
  const DiskFormat format{DiskFormat::Kind::kVhd, virtual_bytes};
  const auto type = big_endian_at<std::uint32_t>(footer, 60);
  if (type == kFixed) {
    if (starts_with(first, "conectix")) return refuse("it can be read as a fixed and as a dynamic VHD.");
    if (big_endian_at<std::uint64_t>(footer, 16) != kNoOffset) return refuse("its fixed disk has a header.");
    if (virtual_bytes != footer_offset) {
      return refuse(
          fmt::format("its footer says that the disk has {} bytes, but {} are there.", virtual_bytes, footer_offset));
    }
    return format;
  }
  if (type == kDifferencing) return refuse("it needs a parent disk. Merge them into one file first.");
  if (type != kDynamic) return refuse(fmt::format("its type {} is none of fixed and dynamic.", type));
  if (first != footer) return refuse("its footer and the copy at its start differ. It was cut off: send it again.");
  const DynamicDisk disk = TRY(read_dynamic_header(bytes, footer));
  TRY(check_dynamic_disk(disk, footer_offset));
  TRY(check_blocks(bytes, disk));
  return format;
}

}  // namespace atelier::image
