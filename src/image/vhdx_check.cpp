#include "image/vhdx_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "image/byte_order.h"
#include "image/format_rules.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;
constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kTableBytesMax = 256U << 20;  // enough for the largest disk in the smallest blocks
constexpr std::uint32_t kEntriesMax = 2047;           // of the region and metadata tables

using Guid = std::array<std::uint8_t, 16>;

// As text: 2dc27766-f623-4200-9d64-115e9bfd4a08 and so on; the first three parts are little-endian.
constexpr Guid kBlockTableRegion = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                    0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
constexpr Guid kMetadataRegion = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                  0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
constexpr Guid kFileParameters = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                  0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
constexpr Guid kVirtualDiskSize = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                   0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
constexpr Guid kPage83 = {0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
                          0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46};
constexpr Guid kLogicalSectorSize = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                     0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};
constexpr Guid kPhysicalSectorSize = {0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
                                      0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56};
constexpr Guid kParentLocator = {0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};

std::unexpected<Error> refuse(std::string_view why) { return refuse_file("VHDX", why); }

bool starts_with(std::span<const std::uint8_t> bytes, std::string_view text) {
  return std::equal(text.begin(), text.end(), bytes.begin(),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

Guid guid_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
  Guid guid{};
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), guid.size(), guid.begin());
  return guid;
}

constexpr std::array<std::uint32_t, 256> crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = value;
  }
  return table;
}

// CRC-32C (Castagnoli) of a structure whose own checksum, in bytes 4 to 7, counts as zeros.
std::uint32_t checksum_of(std::span<const std::uint8_t> bytes) {
  static constexpr auto kTable = crc32c_table();
  std::uint32_t crc = ~0U;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint8_t byte = i >= 4 && i < 8 ? std::uint8_t{0} : bytes[i];
    crc = (crc >> 8) ^ kTable[(crc ^ byte) & 0xff];
  }
  return ~crc;
}

// A stretch of the file.
struct Region {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t end() const { return offset + length; }
};

// Regions lie behind the headers, in whole mebibytes.
Status check_region(const DiskBytes& bytes, const Region& region, std::string_view what) {
  if (region.offset < kMiB || region.offset % kMiB != 0 || region.length % kMiB != 0) {
    return refuse(fmt::format("its {} is at the impossible place {}.", what, region.offset));
  }
  if (!bytes.holds(region.offset, region.length)) return refuse(fmt::format("its {} lies outside the file.", what));
  return {};
}

struct Header {
  std::uint64_t sequence = 0;
  std::array<std::uint8_t, 4096> raw{};
};

Result<std::optional<Header>> read_header(const DiskBytes& bytes, std::uint64_t offset) {
  Header header;
  TRY(bytes.read(offset, header.raw, "its header"));
  const bool is_valid = starts_with(header.raw, "head") &&
                        checksum_of(header.raw) == little_endian_at<std::uint32_t>(header.raw, 4) &&
                        little_endian_at<std::uint16_t>(header.raw, 66) == 1;
  if (!is_valid) return std::nullopt;
  header.sequence = little_endian_at<std::uint64_t>(header.raw, 8);
  return header;
}

// The log's place, from the header that is in force.
Result<Region> check_headers(const DiskBytes& bytes) {
  const std::optional<Header> first = TRY(read_header(bytes, 64U << 10));
  const std::optional<Header> second = TRY(read_header(bytes, 128U << 10));
  if (!first && !second) return refuse("neither of its headers is whole.");
  // The same number twice, as one writer gives them, is no choice only where both say the same.
  if (first && second && first->sequence == second->sequence && first->raw != second->raw) {
    return refuse("its two headers contradict each other.");
  }
  const bool is_second = !first || (second && second->sequence > first->sequence);
  const auto& raw = is_second ? second->raw : first->raw;
  if (!is_all_zero(std::span(raw).subspan(48, 16))) {
    return refuse("it was not closed: its log holds changes. Let its virtual machine shut down, or convert the file.");
  }
  if (little_endian_at<std::uint16_t>(raw, 64) != 0) return refuse("its log has an unknown version.");
  const Region log{little_endian_at<std::uint64_t>(raw, 72), little_endian_at<std::uint32_t>(raw, 68)};
  TRY(check_region(bytes, log, "log"));
  return log;
}

struct Regions {
  Region block_table;
  Region metadata;
};

Result<Regions> check_region_table(const DiskBytes& bytes, const Region& log) {
  constexpr std::uint64_t kTableBytes = 64U << 10;
  std::vector<std::uint8_t> table(kTableBytes);
  std::vector<std::uint8_t> copy(kTableBytes);
  TRY(bytes.read(192U << 10, table, "its region table"));
  TRY(bytes.read(256U << 10, copy, "its region table"));
  if (!starts_with(table, "regi")) return refuse("it has no region table.");
  if (checksum_of(table) != little_endian_at<std::uint32_t>(table, 4)) {
    return refuse("the checksum of its region table is wrong. Send it again.");
  }
  if (table != copy) return refuse("the two copies of its region table differ.");
  const auto entries = little_endian_at<std::uint32_t>(table, 8);
  if (entries > kEntriesMax) return refuse(fmt::format("its region table has {} entries.", entries));
  std::optional<Region> block_table;
  std::optional<Region> metadata;
  std::vector<Region> all = {log};
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::size_t at = 16 + std::size_t{i} * 32;
    const Guid guid = guid_at(table, at);
    const Region region{little_endian_at<std::uint64_t>(table, at + 16),
                        little_endian_at<std::uint32_t>(table, at + 24)};
    const bool is_required = (little_endian_at<std::uint32_t>(table, at + 28) & 1) != 0;
    TRY(check_region(bytes, region, "region"));
    all.push_back(region);
    if (guid != kBlockTableRegion && guid != kMetadataRegion) {
      if (is_required) return refuse("it needs a region that is not known here.");
      continue;
    }
    std::optional<Region>& known = guid == kBlockTableRegion ? block_table : metadata;
    if (known) return refuse("it has a region twice.");
    known = region;
  }
  if (!block_table || !metadata) return refuse("its region table lacks the block table or the metadata.");
  std::ranges::sort(all, {}, &Region::offset);
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i].offset < all[i - 1].end()) return refuse("two of its regions overlap.");
  }
  return Regions{*block_table, *metadata};
}

struct Disk {
  std::uint64_t virtual_bytes = 0;
  std::uint64_t block_bytes = 0;

  std::uint64_t blocks() const { return (virtual_bytes - 1) / block_bytes + 1; }
  // After so many blocks the table has an entry for their sectors' bitmap, which only disks with a parent use.
  std::uint64_t blocks_of_bitmap() const { return (std::uint64_t{1} << 23) * kSectorBytes / block_bytes; }
  std::uint64_t entries() const { return blocks() + (blocks() - 1) / blocks_of_bitmap(); }
};

// The value of one metadata item, as it has to be long.
using Items = std::vector<std::pair<Guid, Region>>;
Result<std::uint64_t> item(const DiskBytes& bytes, const Items& items, const Guid& guid, std::size_t length) {
  const auto found = std::ranges::find(items, guid, &Items::value_type::first);
  if (found == items.end()) return refuse("its metadata lacks a part.");
  if (found->second.length != length) return refuse("a part of its metadata has an impossible length.");
  std::array<std::uint8_t, 8> raw{};
  TRY(bytes.read(found->second.offset, std::span(raw).first(length), "its metadata"));
  return little_endian_at<std::uint64_t>(raw, 0);
}

Result<Items> read_metadata_table(const DiskBytes& bytes, const Region& metadata) {
  constexpr std::uint64_t kTableBytes = 64U << 10;
  if (metadata.length < kTableBytes) return refuse("its metadata is too short.");
  std::vector<std::uint8_t> table(kTableBytes);
  TRY(bytes.read(metadata.offset, table, "its metadata"));
  if (!starts_with(table, "metadata")) return refuse("it has no metadata where its region table says.");
  const auto entries = little_endian_at<std::uint16_t>(table, 10);
  if (entries > kEntriesMax) return refuse(fmt::format("its metadata has {} parts.", entries));
  Items items;
  for (std::size_t i = 0; i < entries; ++i) {
    constexpr std::uint32_t kIsRequired = 4;
    const std::size_t at = 32 + i * 32;
    const Guid guid = guid_at(table, at);
    const std::uint64_t offset = little_endian_at<std::uint32_t>(table, at + 16);
    const std::uint64_t length = little_endian_at<std::uint32_t>(table, at + 20);
    const auto flags = little_endian_at<std::uint32_t>(table, at + 24);
    if (guid == kParentLocator) return refuse("it names a parent disk. Merge them into one file first.");
    const auto known = {kFileParameters, kVirtualDiskSize, kPage83, kLogicalSectorSize, kPhysicalSectorSize};
    if (std::ranges::find(known, guid) == known.end()) {
      if ((flags & kIsRequired) != 0) return refuse("it needs metadata that is not known here.");
      continue;
    }
    if (offset < kTableBytes || length > metadata.length || offset > metadata.length - length) {
      return refuse("a part of its metadata lies outside the metadata.");
    }
    if (std::ranges::find(items, guid, &Items::value_type::first) != items.end()) {
      return refuse("its metadata has a part twice.");
    }
    items.emplace_back(guid, Region{metadata.offset + offset, length});
  }
  return items;
}

Result<Disk> check_metadata(const DiskBytes& bytes, const Region& metadata, const InspectOptions& options) {
  constexpr std::uint64_t kHasParent = std::uint64_t{2} << 32;  // in the flags, behind the block size
  const Items items = TRY(read_metadata_table(bytes, metadata));
  const std::uint64_t parameters = TRY(item(bytes, items, kFileParameters, 8));
  const std::uint64_t logical_sector = TRY(item(bytes, items, kLogicalSectorSize, 4));
  const std::uint64_t physical_sector = TRY(item(bytes, items, kPhysicalSectorSize, 4));
  if ((parameters & kHasParent) != 0) return refuse("it needs a parent disk. Merge them into one file first.");
  Disk disk {
    TRY(item(bytes, items, kVirtualDiskSize, 8))
    , parameters & 0xffffffff
  };
  if (logical_sector != kSectorBytes) {
    return refuse(fmt::format("its sectors have {} bytes; 512 are taken.", logical_sector));
  }
  if (physical_sector != 512 && physical_sector != 4096) {
    return refuse(fmt::format("its physical sectors have {} bytes.", physical_sector));
  }
  if (!is_power_of_two(disk.block_bytes) || disk.block_bytes < kMiB || disk.block_bytes > 256 * kMiB) {
    return refuse(fmt::format("its blocks have {} bytes.", disk.block_bytes));
  }
  TRY(check_virtual_bytes("VHDX", disk.virtual_bytes, options));
  return disk;
}

// Which mebibytes of the file are in use: blocks and regions are made of whole ones.
class FileMap {
 public:
  explicit FileMap(const DiskBytes& bytes) : is_used_(bytes.size_bytes / kMiB) {}

  // False when a part of it lies outside the file or is in use already.
  bool take(const Region& region) {
    const std::uint64_t end = region.end() / kMiB;
    if (end > is_used_.size()) return false;
    for (std::uint64_t i = region.offset / kMiB; i < end; ++i) {
      if (is_used_[i]) return false;
      is_used_[i] = true;
    }
    return true;
  }

 private:
  std::vector<bool> is_used_;
};

Status check_block(const DiskBytes& bytes, const Disk& disk, std::uint64_t entry, FileMap& file_map) {
  constexpr std::uint64_t kPartlyPresent = 7;
  constexpr std::uint64_t kPresent = 6;
  const std::uint64_t state = entry & 7;
  if (state == kPartlyPresent) return refuse("a block needs a parent disk.");
  if (state == 4) return refuse("a block is in a state that is not known here.");
  if (state != kPresent) return {};
  const Region block{entry >> 20 << 20, disk.block_bytes};
  if (block.offset == 0) return refuse("a block lies in the header.");
  if (!bytes.holds(block.offset, block.length)) {
    return refuse("a block lies behind the end of the file. The file was cut off: send it again.");
  }
  if (!file_map.take(block)) return refuse("a block overlaps another one or a table.");
  return {};
}

Status check_blocks(const DiskBytes& bytes, const Disk& disk, const Region& block_table, FileMap& file_map) {
  const std::uint64_t table_bytes = disk.entries() * 8;
  if (table_bytes > block_table.length || block_table.length > kTableBytesMax) {
    return refuse("its block table has an impossible length.");
  }
  std::uint64_t index = 0;
  const TablePlace place{block_table.offset, table_bytes, 8, "its block table"};
  return read_table(bytes, place, [&](std::span<const std::uint8_t> piece) -> Status {
    for (std::size_t at = 0; at < piece.size(); at += 8, ++index) {
      const auto entry = little_endian_at<std::uint64_t>(piece, at);
      const bool is_bitmap = index % (disk.blocks_of_bitmap() + 1) == disk.blocks_of_bitmap();
      if (!is_bitmap) {
        TRY(check_block(bytes, disk, entry, file_map));
      } else if ((entry & 7) != 0) {
        return refuse("it has a bitmap of sectors, which needs a parent disk.");
      }
    }
    return {};
  });
}

}  // namespace

Result<DiskFormat> check_vhdx(const DiskBytes& bytes, const InspectOptions& options) {
  if (bytes.size_bytes < kMiB) return refuse("it is too short.");
  const Region log = TRY(check_headers(bytes));
  const Regions regions = TRY(check_region_table(bytes, log));
  const Disk disk = TRY(check_metadata(bytes, regions.metadata, options));
  FileMap file_map(bytes);
  for (const Region& region : {Region{0, kMiB}, log, regions.block_table, regions.metadata}) {
    if (!file_map.take(region)) return refuse("two of its regions overlap.");
  }
  TRY(check_blocks(bytes, disk, regions.block_table, file_map));
  return DiskFormat{DiskFormat::Kind::kVhdx, disk.virtual_bytes};
}

}  // namespace atelier::image
