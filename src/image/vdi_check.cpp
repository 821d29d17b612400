#include "image/vdi_check.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <vector>

#include "image/byte_order.h"
#include "image/format_rules.h"

namespace atelier::image {
namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kBlockBytes = 1U << 20;

std::unexpected<Error> refuse(std::string_view why) { return refuse_file("VDI", why); }

struct Header {
  std::uint64_t virtual_bytes = 0;
  std::uint64_t map_offset = 0;
  std::uint64_t data_offset = 0;
  std::uint64_t blocks = 0;

  std::uint64_t map_bytes() const { return blocks * 4; }
};

constexpr std::size_t kHeaderBytes = 512;

Result<Header> read_header(const DiskBytes& bytes) {
  constexpr std::uint32_t kVersion = 0x00010001;
  constexpr std::uint32_t kDynamic = 1;
  constexpr std::uint32_t kStatic = 2;
  std::array<std::uint8_t, kHeaderBytes> raw{};
  TRY(bytes.read(0, raw, "its header"));
  const std::span<const std::uint8_t> all(raw);
  if (const auto version = little_endian_at<std::uint32_t>(raw, 68); version != kVersion) {
    return refuse(fmt::format("its version is {}.{}; 1.1 is taken.", version >> 16, version & 0xffff));
  }
  // As long as the fields that are used, and inside the first sector.
  const auto header_bytes = std::uint64_t{little_endian_at<std::uint32_t>(raw, 72)};
  if (header_bytes < 0x180 || header_bytes > kHeaderBytes - 72) {
    return refuse(fmt::format("its header says that it is {} bytes long.", header_bytes));
  }
  const auto type = little_endian_at<std::uint32_t>(raw, 76);
  if (type != kDynamic && type != kStatic) return refuse("it needs another disk. Clone it to a file of its own first.");
  if (!is_all_zero(all.subspan(424, 32))) return refuse("it names a parent disk. Clone it to a file of its own first.");
  if (little_endian_at<std::uint32_t>(raw, 360) != kSectorBytes) return refuse("its sectors have not 512 bytes.");
  if (little_endian_at<std::uint32_t>(raw, 376) != kBlockBytes || little_endian_at<std::uint32_t>(raw, 380) != 0) {
    return refuse("its blocks have not 1 MiB.");
  }
  return Header{.virtual_bytes = little_endian_at<std::uint64_t>(raw, 368),
                .map_offset = little_endian_at<std::uint32_t>(raw, 340),
                .data_offset = little_endian_at<std::uint32_t>(raw, 344),
                .blocks = little_endian_at<std::uint32_t>(raw, 384)};
}

Status check_map(const DiskBytes& bytes, const Header& header) {
  constexpr std::uint32_t kFree = 0xffffffff;  // both read as zeros
  constexpr std::uint32_t kZero = 0xfffffffe;
  std::vector<bool> is_used(header.blocks);
  const TablePlace place{header.map_offset, header.map_bytes(), 4, "its block map"};
  return read_table(bytes, place, [&](std::span<const std::uint8_t> piece) -> Status {
    for (std::size_t at = 0; at < piece.size(); at += 4) {
      const auto block = little_endian_at<std::uint32_t>(piece, at);
      if (block == kFree || block == kZero) continue;
      if (block >= header.blocks) return refuse("its block map names a block that it has not.");
      if (is_used[block]) return refuse("it uses a block twice.");
      is_used[block] = true;
      if (!bytes.holds(header.data_offset + block * kBlockBytes, kBlockBytes)) {
        return refuse("a block lies behind the end of the file. The file was cut off: send it again.");
      }
    }
    return {};
  });
}

}  // namespace

Result<DiskFormat> check_vdi(const DiskBytes& bytes, const InspectOptions& options) {
  const Header header = TRY(read_header(bytes));
  TRY(check_virtual_bytes("VDI", header.virtual_bytes, options));
  // One entry for each block of the disk: that bounds the map by the disk's own bound.
  if (header.blocks != (header.virtual_bytes - 1) / kBlockBytes + 1) {
    return refuse(fmt::format("its block map has {} entries, which its disk has not.", header.blocks));
  }
  if (header.map_offset < kHeaderBytes || header.map_offset % kSectorBytes != 0 ||
      !bytes.holds(header.map_offset, header.map_bytes())) {
    return refuse("its block map lies outside the file.");
  }
  if (header.data_offset < header.map_offset + header.map_bytes() || header.data_offset % kSectorBytes != 0) {
    return refuse("its blocks overlap its block map.");
  }
  TRY(check_map(bytes, header));
  return DiskFormat{DiskFormat::Kind::kVdi, header.virtual_bytes};
}

}  // namespace atelier::image
