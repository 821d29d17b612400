#include "image/vmdk_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "image/byte_order.h"
#include "image/format_rules.h"
#include "image/vmdk_descriptor.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kDirectoryAtEnd = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kDescriptorBytesMax = 1U << 20;
constexpr std::uint64_t kDirectoryBytesMax = 32U << 20;
constexpr std::uint64_t kGrainSectorsMin = 8;
constexpr std::uint64_t kGrainSectorsMax = 65536;

constexpr std::uint32_t kCheckNewlines = 1U << 0;
constexpr std::uint32_t kSecondDirectory = 1U << 1;
constexpr std::uint32_t kZeroGrains = 1U << 2;
constexpr std::uint32_t kCompressed = 1U << 16;
constexpr std::uint32_t kMarkers = 1U << 17;

using Sector = std::array<std::uint8_t, kSectorBytes>;

std::unexpected<Error> refuse(std::string_view why) { return refuse_file("VMDK", why); }

struct Header {
  std::uint32_t version = 0;
  std::uint32_t flags = 0;
  std::uint64_t capacity_sectors = 0;
  std::uint64_t grain_sectors = 0;
  std::uint64_t descriptor_sector = 0;
  std::uint64_t descriptor_sectors = 0;
  std::uint32_t table_entries = 0;  // of one grain table
  std::uint64_t second_directory_sector = 0;
  std::uint64_t directory_sector = 0;
  std::uint64_t overhead_sectors = 0;
  std::uint16_t compression = 0;

  bool is_compressed() const { return (flags & kCompressed) != 0; }
  std::uint64_t sectors_of_table() const { return table_entries * grain_sectors; }
  std::uint64_t tables() const { return (capacity_sectors - 1) / sectors_of_table() + 1; }
};

Header parse_header(const Sector& raw) {
  return {.version = little_endian_at<std::uint32_t>(raw, 4),
          .flags = little_endian_at<std::uint32_t>(raw, 8),
          .capacity_sectors = little_endian_at<std::uint64_t>(raw, 12),
          .grain_sectors = little_endian_at<std::uint64_t>(raw, 20),
          .descriptor_sector = little_endian_at<std::uint64_t>(raw, 28),
          .descriptor_sectors = little_endian_at<std::uint64_t>(raw, 36),
          .table_entries = little_endian_at<std::uint32_t>(raw, 44),
          .second_directory_sector = little_endian_at<std::uint64_t>(raw, 48),
          .directory_sector = little_endian_at<std::uint64_t>(raw, 56),
          .overhead_sectors = little_endian_at<std::uint64_t>(raw, 64),
          .compression = little_endian_at<std::uint16_t>(raw, 77)};
}

// A stream is written in one go, so its directory may stand at the end: a footer, a second header, tells where.
Result<Header> read_footer(const DiskBytes& bytes, Sector header) {
  constexpr std::uint32_t kEndOfStream = 0;
  constexpr std::uint32_t kFooter = 3;
  constexpr std::uint64_t kFooterSectors = 3;
  if (bytes.size_bytes % kSectorBytes != 0 || bytes.size_bytes < (1 + kFooterSectors) * kSectorBytes) {
    return refuse("it does not end with a footer. It was cut off: send it again.");
  }
  Sector marker{};
  Sector footer{};
  Sector end{};
  std::uint64_t offset = bytes.size_bytes - kFooterSectors * kSectorBytes;
  for (Sector* const sector : {&marker, &footer, &end}) {
    TRY(bytes.read(offset, *sector, "its footer"));
    offset += kSectorBytes;
  }
  const bool is_whole = little_endian_at<std::uint32_t>(marker, 8) == 0 &&
                        little_endian_at<std::uint32_t>(marker, 12) == kFooter &&
                        little_endian_at<std::uint64_t>(end, 0) == 0 && little_endian_at<std::uint32_t>(end, 8) == 0 &&
                        little_endian_at<std::uint32_t>(end, 12) == kEndOfStream;
  if (!is_whole) return refuse("it does not end with a footer. It was cut off: send it again.");
  // They may differ in the directory's place only.
  std::copy_n(footer.begin() + 56, 8, header.begin() + 56);
  if (header != footer) return refuse("its footer and its header differ.");
  const Header parsed = parse_header(footer);
  if (parsed.directory_sector == kDirectoryAtEnd) return refuse("its footer names another footer.");
  return parsed;
}

Status check_header(const DiskBytes& bytes, const Header& header) {
  constexpr std::uint32_t kKnownFlags = kCheckNewlines | kSecondDirectory | kZeroGrains | kCompressed | kMarkers;
  if (header.version < 1 || header.version > 3) {
    return refuse(fmt::format("its version is {}; 1 to 3 are taken.", header.version));
  }
  if ((header.flags & ~kKnownFlags) != 0) return refuse("it uses features that are not known here.");
  if (((header.flags & kMarkers) != 0) != header.is_compressed() ||
      header.compression != (header.is_compressed() ? 1 : 0)) {
    return refuse("it is compressed in a way that is not known here.");
  }
  if (!is_power_of_two(header.grain_sectors) || header.grain_sectors < kGrainSectorsMin ||
      header.grain_sectors > kGrainSectorsMax) {
    return refuse(fmt::format("its grains have {} sectors.", header.grain_sectors));
  }
  if (header.table_entries != 512) {
    return refuse(fmt::format("its grain tables have {} entries.", header.table_entries));
  }
  if (header.overhead_sectors > bytes.size_bytes / kSectorBytes) {
    return refuse("its tables lie outside the file. The file was cut off: send it again.");
  }
  return {};
}

Status check_descriptor(const DiskBytes& bytes, const Header& header) {
  // QEMU reads it from the second sector, whatever the header says.
  if (header.descriptor_sector != 1 || header.descriptor_sectors == 0 ||
      header.descriptor_sectors > kDescriptorBytesMax / kSectorBytes) {
    return refuse("its descriptor is at an impossible place.");
  }
  std::vector<std::uint8_t> raw(header.descriptor_sectors * kSectorBytes);
  TRY(bytes.read(kSectorBytes, raw, "its descriptor"));
  const auto end = std::ranges::find(raw, std::uint8_t{0});
  if (!is_all_zero(std::span(end, raw.end()))) return refuse("there is something behind its descriptor.");
  const std::string text(raw.begin(), end);
  const VmdkDescriptor descriptor = TRY(parse_vmdk_descriptor(text));
  if ((descriptor.type == VmdkDescriptor::Type::kStreamOptimized) != header.is_compressed()) {
    return refuse("its descriptor and its header contradict each other.");
  }
  if (descriptor.extent_sectors != header.capacity_sectors) {
    return refuse("its descriptor and its header name different sizes.");
  }
  return {};
}

// Grain tables begin behind the header and end inside the file.
bool holds_sectors(const DiskBytes& bytes, std::uint64_t sector, std::uint64_t length) {
  return sector != 0 && sector <= bytes.size_bytes / kSectorBytes && bytes.holds(sector * kSectorBytes, length);
}

Result<std::vector<std::uint32_t>> read_directory(const DiskBytes& bytes, const Header& header) {
  const std::uint64_t directory_bytes = header.tables() * 4;
  if (directory_bytes > kDirectoryBytesMax) {
    return refuse(fmt::format("its grain directory has {} entries.", header.tables()));
  }
  const bool has_second = (header.flags & kSecondDirectory) != 0;
  if (!holds_sectors(bytes, header.directory_sector, directory_bytes) ||
      (has_second && !holds_sectors(bytes, header.second_directory_sector, directory_bytes))) {
    return refuse("its grain directory lies outside the file.");
  }
  std::vector<std::uint32_t> tables;
  const TablePlace place{header.directory_sector * kSectorBytes, directory_bytes, 4, "its grain directory"};
  TRY(read_table(bytes, place, [&](std::span<const std::uint8_t> piece) -> Status {
    for (std::size_t at = 0; at < piece.size(); at += 4) {
      const auto sector = little_endian_at<std::uint32_t>(piece, at);
      if (sector == 0) continue;
      if (!holds_sectors(bytes, sector, std::uint64_t{header.table_entries} * 4)) {
        return refuse("a grain table lies behind the end of the file. The file was cut off: send it again.");
      }
      tables.push_back(sector);
    }
    return {};
  }));
  std::ranges::sort(tables);
  if (std::ranges::adjacent_find(tables) != tables.end()) return refuse("it uses a grain table twice.");
  return tables;
}

// Grains are told by where they begin; the sum of them is bounded by what the file can hold.
Status check_grains(const DiskBytes& bytes, const Header& header, const InspectOptions& options) {
  constexpr std::uint64_t kMarkerBytes = 12;  // before a compressed grain
  const std::vector<std::uint32_t> tables = TRY(read_directory(bytes, header));
  const std::uint64_t grain_bytes = header.grain_sectors * kSectorBytes;
  std::uint64_t grains = 0;
  for (const std::uint32_t table : tables) {
    const TablePlace place{table * kSectorBytes, std::uint64_t{header.table_entries} * 4, 4, "a grain table"};
    TRY(read_table(bytes, place, [&](std::span<const std::uint8_t> piece) -> Status {
      for (std::size_t at = 0; at < piece.size(); at += 4) {
        const auto sector = little_endian_at<std::uint32_t>(piece, at);
        if (sector == 0 || (sector == 1 && (header.flags & kZeroGrains) != 0)) continue;
        ++grains;
        if (sector < header.overhead_sectors) return refuse("a grain overlaps its tables.");
        if (!holds_sectors(bytes, sector, header.is_compressed() ? kMarkerBytes : grain_bytes)) {
          return refuse("a grain lies behind the end of the file. The file was cut off: send it again.");
        }
      }
      return {};
    }));
  }
  // Each stored grain has at least a sector of its own, of which the last may be cut short.
  const std::uint64_t stored_bytes = header.is_compressed() ? kSectorBytes : grain_bytes;
  if (grains > (bytes.size_bytes - 1) / stored_bytes + 1 ||
      grains > options.expansion_max * bytes.size_bytes / grain_bytes) {
    return refuse("its grains claim more bytes than it has.");
  }
  return {};
}

}  // namespace

Result<DiskFormat> check_vmdk(const DiskBytes& bytes, const InspectOptions& options) {
  constexpr std::string_view kNewlines = "\n \r\n";  // broken by a transfer as text
  Sector raw{};
  TRY(bytes.read(0, raw, "its header"));
  Header header = parse_header(raw);
  if (header.directory_sector == kDirectoryAtEnd) {
    if (!header.is_compressed()) return refuse("its grain directory is at an impossible place.");
    header = TRY(read_footer(bytes, raw));
  }
  TRY(check_header(bytes, header));
  if (!std::equal(kNewlines.begin(), kNewlines.end(), raw.begin() + 73)) {
    return refuse("it was changed by a transfer as text. Send it again.");
  }
  if (header.capacity_sectors > std::numeric_limits<std::uint64_t>::max() / kSectorBytes) {
    return refuse("its disk has an impossible size.");
  }
  const std::uint64_t virtual_bytes = header.capacity_sectors * kSectorBytes;
  TRY(check_virtual_bytes("VMDK", virtual_bytes, options));
  TRY(check_descriptor(bytes, header));
  TRY(check_grains(bytes, header, options));
  return DiskFormat{DiskFormat::Kind::kVmdk, virtual_bytes};
}

}  // namespace atelier::image
