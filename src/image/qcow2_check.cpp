#include "image/qcow2_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "image/byte_order.h"
#include "image/format_rules.h"

namespace atelier::image {
namespace {

// The limits of QEMU's own reader, block/qcow2.h.
constexpr std::uint64_t kL1BytesMax = 32U << 20;
constexpr std::uint64_t kRefcountTableBytesMax = 8U << 20;
constexpr std::uint32_t kSnapshotsMax = 65536;
constexpr std::uint64_t kSnapshotTableBytesMax = 64U << 20;
constexpr std::uint64_t kBitmapDirectoryBytesMax = std::uint64_t{1024} * 65535;
constexpr std::uint32_t kBitmapsMax = 65535;

constexpr std::uint64_t kDirty = 1U << 0;
constexpr std::uint64_t kCorrupt = 1U << 1;
constexpr std::uint64_t kDataFile = 1U << 2;
constexpr std::uint64_t kCompressionType = 1U << 3;
constexpr std::uint64_t kExtendedL2 = 1U << 4;
constexpr std::uint64_t kKnownIncompatible = kDirty | kCorrupt | kDataFile | kCompressionType | kExtendedL2;

constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00;  // bits 9-55 of an L1 or L2 entry
constexpr std::uint64_t kCompressedFlag = std::uint64_t{1} << 62;
constexpr std::uint64_t kZeroFlag = 1;

std::unexpected<Error> refuse(std::string_view why) { return refuse_file("qcow2", why); }

struct Header {
  std::uint32_t version = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint32_t cluster_bits = 0;
  std::uint32_t l1_entries = 0;
  std::uint64_t l1_offset = 0;
  std::uint64_t refcount_offset = 0;
  std::uint32_t refcount_clusters = 0;
  std::uint32_t snapshots = 0;
  std::uint64_t snapshots_offset = 0;
  std::uint64_t incompatible = 0;
  std::uint32_t header_bytes = 72;

  std::uint64_t cluster_bytes() const { return std::uint64_t{1} << cluster_bits; }
  std::uint64_t l2_entry_bytes() const { return (incompatible & kExtendedL2) != 0 ? 16 : 8; }
  std::uint64_t l2_entries() const { return cluster_bytes() / l2_entry_bytes(); }
};

// The fields that version 3 added.
Status read_version_3(const DiskBytes& bytes, Header& header) {
  std::array<std::uint8_t, 32> raw{};
  TRY(bytes.read(72, raw, "its header"));
  header.incompatible = big_endian_at<std::uint64_t>(raw, 0);
  const auto refcount_order = big_endian_at<std::uint32_t>(raw, 24);
  header.header_bytes = big_endian_at<std::uint32_t>(raw, 28);
  if ((header.incompatible & kDataFile) != 0) {
    return refuse("it keeps its data in another file. Convert it to a file of its own with qemu-img convert.");
  }
  if ((header.incompatible & ~kKnownIncompatible) != 0) {
    return refuse(fmt::format("it uses features that are not known here (bits {:#x}).",
                              header.incompatible & ~kKnownIncompatible));
  }
  if ((header.incompatible & kCorrupt) != 0) return refuse("it is marked as corrupt. Repair it with qemu-img check.");
  if (refcount_order > 6) return refuse("its reference counts are wider than 64 bits.");
  if (header.header_bytes < 104 || header.header_bytes % 8 != 0 || header.header_bytes > header.cluster_bytes()) {
    return refuse(fmt::format("its header says that it is {} bytes long.", header.header_bytes));
  }
  std::uint8_t compression = 0;
  if (header.header_bytes > 104) TRY(bytes.read(104, std::span(&compression, 1), "its header"));
  const bool has_other_compression = (header.incompatible & kCompressionType) != 0;
  if (compression > 1 || has_other_compression != (compression != 0)) return refuse("its compression is not known.");
  return {};
}

Result<Header> read_header(const DiskBytes& bytes) {
  std::array<std::uint8_t, 72> raw{};
  TRY(bytes.read(0, raw, "its header"));
  Header header;
  header.version = big_endian_at<std::uint32_t>(raw, 4);
  if (header.version != 2 && header.version != 3) {
    return refuse(fmt::format("its version is {}; versions 2 and 3 are taken.", header.version));
  }
  if (big_endian_at<std::uint64_t>(raw, 8) != 0 || big_endian_at<std::uint32_t>(raw, 16) != 0) {
    return refuse("it has a backing file. Make it whole with qemu-img convert or qemu-img rebase -b \"\".");
  }
  header.cluster_bits = big_endian_at<std::uint32_t>(raw, 20);
  header.virtual_bytes = big_endian_at<std::uint64_t>(raw, 24);
  if (big_endian_at<std::uint32_t>(raw, 32) != 0) return refuse("it is encrypted. Decrypt it with qemu-img convert.");
  header.l1_entries = big_endian_at<std::uint32_t>(raw, 36);
  header.l1_offset = big_endian_at<std::uint64_t>(raw, 40);
  header.refcount_offset = big_endian_at<std::uint64_t>(raw, 48);
  header.refcount_clusters = big_endian_at<std::uint32_t>(raw, 56);
  header.snapshots = big_endian_at<std::uint32_t>(raw, 60);
  header.snapshots_offset = big_endian_at<std::uint64_t>(raw, 64);
  if (header.cluster_bits < 9 || header.cluster_bits > 21) {
    return refuse(fmt::format("its clusters have 2^{} bytes; 2^9 to 2^21 are taken.", header.cluster_bits));
  }
  if (header.version == 3) TRY(read_version_3(bytes, header));
  if ((header.incompatible & kExtendedL2) != 0 && header.cluster_bits < 14) {
    return refuse("its clusters are too small for subclusters.");
  }
  return header;
}

// A table must start on a cluster after the header and end inside the file.
Status check_table(const DiskBytes& bytes, const Header& header, std::uint64_t offset, std::uint64_t length,
                   std::string_view what) {
  if (offset == 0 || offset % header.cluster_bytes() != 0) {
    return refuse(fmt::format("its {} is at the impossible place {}.", what, offset));
  }
  if (!bytes.holds(offset, length)) return refuse(fmt::format("its {} lies outside the file.", what));
  return {};
}

// One header extension; unknown ones are ignored, as the format asks.
Status check_extension(const DiskBytes& bytes, std::uint32_t type, std::span<const std::uint8_t> data) {
  constexpr std::uint32_t kDataFileName = 0x44415441;
  constexpr std::uint32_t kEncryption = 0x0537be77;
  constexpr std::uint32_t kBitmaps = 0x23852875;
  if (type == kDataFileName) return refuse("it names an external data file.");
  if (type == kEncryption) return refuse("it is encrypted. Decrypt it with qemu-img convert.");
  if (type != kBitmaps) return {};
  if (data.size() != 24) return refuse("its bitmap extension has an impossible length.");
  const auto count = big_endian_at<std::uint32_t>(data, 0);
  const auto directory_bytes = big_endian_at<std::uint64_t>(data, 8);
  const auto directory_offset = big_endian_at<std::uint64_t>(data, 16);
  if (count > kBitmapsMax || directory_bytes > kBitmapDirectoryBytesMax ||
      !bytes.holds(directory_offset, directory_bytes)) {
    return refuse("its bitmap directory lies outside the file.");
  }
  return {};
}

Status check_extensions(const DiskBytes& bytes, const Header& header) {
  // They must end inside the first cluster.
  const std::uint64_t end = std::min(header.cluster_bytes(), bytes.size_bytes);
  std::uint64_t offset = header.header_bytes;
  while (offset + 8 <= end) {
    std::array<std::uint8_t, 8> raw{};
    TRY(bytes.read(offset, raw, "its header extensions"));
    const auto type = big_endian_at<std::uint32_t>(raw, 0);
    const std::uint64_t length = big_endian_at<std::uint32_t>(raw, 4);
    if (type == 0) return {};
    offset += 8;
    if (length > end - offset) return refuse("a header extension ends outside the header.");
    std::vector<std::uint8_t> data(length);
    TRY(bytes.read(offset, data, "its header extensions"));
    TRY(check_extension(bytes, type, data));
    offset += (length + 7) / 8 * 8;
  }
  return {};
}

Status check_snapshots(const DiskBytes& bytes, const Header& header) {
  if (header.snapshots == 0) return {};
  if (header.snapshots > kSnapshotsMax) {
    return refuse(fmt::format("it says that it has {} snapshots.", header.snapshots));
  }
  constexpr std::uint64_t kEntryBytes = 40;
  TRY(check_table(bytes, header, header.snapshots_offset, header.snapshots * kEntryBytes, "snapshot table"));
  std::uint64_t offset = header.snapshots_offset;
  for (std::uint32_t i = 0; i < header.snapshots; ++i) {
    std::array<std::uint8_t, kEntryBytes> raw{};
    TRY(bytes.read(offset, raw, "its snapshot table"));
    const auto l1_offset = big_endian_at<std::uint64_t>(raw, 0);
    const std::uint64_t l1_bytes = std::uint64_t{big_endian_at<std::uint32_t>(raw, 8)} * 8;
    const std::uint64_t names =
        std::uint64_t{big_endian_at<std::uint16_t>(raw, 12)} + big_endian_at<std::uint16_t>(raw, 14);
    const std::uint64_t extra = big_endian_at<std::uint32_t>(raw, 36);
    if (extra > 1024) return refuse("a snapshot has too much extra data.");
    if (l1_bytes > kL1BytesMax) return refuse("a snapshot's L1 table is too large.");
    if (l1_bytes != 0) TRY(check_table(bytes, header, l1_offset, l1_bytes, "L1 table of a snapshot"));
    offset += (kEntryBytes + extra + names + 7) / 8 * 8;
    if (offset > bytes.size_bytes || offset - header.snapshots_offset > kSnapshotTableBytesMax) {
      return refuse("its snapshot table lies outside the file.");
    }
  }
  return {};
}

// How many clusters the L2 tables say the file holds.
struct ClusterCounts {
  std::uint64_t plain = 0;
  std::uint64_t compressed = 0;
};

// Of a cluster, so many bytes are in the file at least: the last one of a disk may end with the disk.
std::uint64_t cluster_bytes_min(const Header& header) {
  const std::uint64_t rest = header.virtual_bytes % header.cluster_bytes();
  return rest == 0 ? header.cluster_bytes() : rest;
}

Status check_l2_table(const DiskBytes& bytes, const Header& header, std::span<const std::uint8_t> table,
                      ClusterCounts& counts) {
  constexpr std::uint64_t kSectorBytes = 512;
  // A compressed cluster's entry has its offset in the bits below 62 - (cluster_bits - 8), and above them how many
  // sectors it goes on after its first.
  const unsigned offset_bits = 62 - (header.cluster_bits - 8);
  const std::uint64_t compressed_mask = (std::uint64_t{1} << offset_bits) - 1;
  const bool has_subclusters = (header.incompatible & kExtendedL2) != 0;
  for (std::size_t at = 0; at < table.size(); at += header.l2_entry_bytes()) {
    const auto entry = big_endian_at<std::uint64_t>(table, at);
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    if ((entry & kCompressedFlag) != 0) {
      ++counts.compressed;
      offset = entry & compressed_mask;
      const std::uint64_t more_sectors = (entry & (kCompressedFlag - 1)) >> offset_bits;
      length = (more_sectors + 1) * kSectorBytes - offset % kSectorBytes;
    } else {
      offset = entry & kOffsetMask;
      length = cluster_bytes_min(header);
      if (offset % header.cluster_bytes() != 0) return refuse("a data cluster starts between two clusters.");
      const bool reads_as_zero = !has_subclusters && (entry & kZeroFlag) != 0;
      if (reads_as_zero && header.version < 3) return refuse("a cluster is marked as its version cannot.");
      if (has_subclusters && offset == 0 && big_endian_at<std::uint32_t>(table, at + 12) != 0) {
        return refuse("a cluster has parts but no place.");
      }
      if (reads_as_zero || offset == 0) continue;
      ++counts.plain;
    }
    if (!bytes.holds(offset, length)) {
      return refuse("a data cluster lies behind the end of the file. The file was cut off: send it again.");
    }
  }
  return {};
}

// Walks the active L1 table. No L2 table may be named twice: that bounds the work by the file's size. Nor may the
// tables claim more clusters than the file has room for, as they would by naming one again and again.
Status check_clusters(const DiskBytes& bytes, const Header& header, const InspectOptions& options) {
  constexpr std::size_t kEntriesAtOnce = 8192;
  std::vector<std::uint64_t> l2_offsets;
  std::vector<std::uint8_t> entries;
  for (std::uint64_t first = 0; first < header.l1_entries; first += kEntriesAtOnce) {
    entries.resize(std::min<std::uint64_t>(kEntriesAtOnce, header.l1_entries - first) * 8);
    TRY(bytes.read(header.l1_offset + first * 8, entries, "its L1 table"));
    for (std::size_t at = 0; at < entries.size(); at += 8) {
      const std::uint64_t offset = big_endian_at<std::uint64_t>(entries, at) & kOffsetMask;
      if (offset == 0) continue;
      if (offset % header.cluster_bytes() != 0) return refuse("an L2 table starts between two clusters.");
      if (!bytes.holds(offset, header.cluster_bytes())) {
        return refuse("an L2 table lies behind the end of the file. The file was cut off: send it again.");
      }
      l2_offsets.push_back(offset);
    }
  }
  std::ranges::sort(l2_offsets);
  if (std::ranges::adjacent_find(l2_offsets) != l2_offsets.end()) return refuse("it uses an L2 table twice.");
  ClusterCounts counts;
  std::vector<std::uint8_t> table(header.cluster_bytes());
  for (const std::uint64_t offset : l2_offsets) {
    TRY(bytes.read(offset, table, "an L2 table"));
    TRY(check_l2_table(bytes, header, table, counts));
  }
  const std::uint64_t room = (bytes.size_bytes - 1) / header.cluster_bytes() + 1;
  if (counts.plain > room || counts.compressed > room * options.expansion_max) {
    return refuse("its clusters claim more bytes than it has.");
  }
  return {};
}

}  // namespace

Result<DiskFormat> check_qcow2(const DiskBytes& bytes, const InspectOptions& options) {
  const Header header = TRY(read_header(bytes));
  TRY(check_virtual_bytes("qcow2", header.virtual_bytes, options));
  TRY(check_extensions(bytes, header));

  const std::uint64_t bytes_per_l1_entry = header.cluster_bytes() * header.l2_entries();
  const std::uint64_t l1_needed = (header.virtual_bytes - 1) / bytes_per_l1_entry + 1;
  const std::uint64_t l1_bytes = std::uint64_t{header.l1_entries} * 8;
  if (l1_bytes > kL1BytesMax) return refuse(fmt::format("its L1 table has {} entries.", header.l1_entries));
  if (header.l1_entries < l1_needed) return refuse("its L1 table is too small for its disk.");
  TRY(check_table(bytes, header, header.l1_offset, l1_bytes, "L1 table"));

  const std::uint64_t refcount_bytes = std::uint64_t{header.refcount_clusters} * header.cluster_bytes();
  if (header.refcount_clusters == 0 || refcount_bytes > kRefcountTableBytesMax) {
    return refuse(fmt::format("its reference count table has {} clusters.", header.refcount_clusters));
  }
  TRY(check_table(bytes, header, header.refcount_offset, refcount_bytes, "reference count table"));
  TRY(check_snapshots(bytes, header));
  TRY(check_clusters(bytes, header, options));
  return DiskFormat{DiskFormat::Kind::kQcow2, header.virtual_bytes};
}

}  // namespace atelier::image
