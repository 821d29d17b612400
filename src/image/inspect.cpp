#include "image/inspect.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "base/text.h"
#include "image/byte_order.h"
#include "image/file_io.h"
#include "image/qcow2_check.h"
#include "image/vdi_check.h"
#include "image/vhd_check.h"
#include "image/vhdx_check.h"
#include "image/vmdk_check.h"

namespace atelier::image {
namespace {

using namespace std::literals;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kRawBytesMin = 1U << 20;
constexpr std::uint64_t kHeadBytes = 128U << 10;  // up to and with btrfs's superblock at 64 KiB
constexpr std::uint64_t kSectorBytes = 512;

bool has_at(const Bytes& bytes, std::size_t offset, std::string_view magic) {
  if (offset > bytes.size() || magic.size() > bytes.size() - offset) return false;
  return std::equal(magic.begin(), magic.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

struct Magic {
  std::string_view bytes;
  std::size_t offset;
  std::string_view name;  // completes "The file is ..."
};

using Check = Result<DiskFormat> (*)(const DiskBytes&, const InspectOptions&);

struct FormatMagic {
  std::string_view bytes;
  std::size_t offset;
  Check check;  // none: recognised in order to name it
  std::string_view name;
};
constexpr std::array kFormats = {
    FormatMagic{"QFI\xfb"sv, 0, check_qcow2, "qcow2"sv},
    FormatMagic{"conectix"sv, 0, check_vhd, "VHD"sv},
    FormatMagic{"vhdxfile"sv, 0, check_vhdx, "VHDX"sv},
    FormatMagic{"KDMV"sv, 0, check_vmdk, "VMDK"sv},
    FormatMagic{"\x7f\x10\xda\xbe"sv, 64, check_vdi, "VDI"sv},
    FormatMagic{"COWD"sv, 0, nullptr, "a VMDK of the old kind"sv},
    FormatMagic{"QED\0"sv, 0, nullptr, "QED"sv},
    FormatMagic{"WithoutFreeSpace"sv, 0, nullptr, "Parallels"sv},
    FormatMagic{"WithouFreSpacExt"sv, 0, nullptr, "Parallels"sv},
    FormatMagic{"LUKS\xba\xbe"sv, 0, nullptr, "encrypted with LUKS"sv},
    FormatMagic{"CD001"sv, 0x8001, nullptr, "an ISO 9660 image of a CD"sv},
};
constexpr FormatMagic kFixedVhd = {"conectix"sv, 0, check_vhd, "VHD"sv};  // in the last sector
constexpr FormatMagic kVmdkText = {{}, 0, nullptr, "the descriptor of a VMDK whose data is in other files"sv};

// What people send by mistake, to say it in a word.
constexpr std::array kNoDisks = {
    Magic{"\x89PNG\r\n\x1a\n"sv, 0, "a PNG picture"sv},
    Magic{"\xff\xd8\xff"sv, 0, "a JPEG picture"sv},
    Magic{"GIF8"sv, 0, "a GIF picture"sv},
    Magic{"%PDF-"sv, 0, "a PDF document"sv},
    Magic{"PK\x03\x04"sv, 0, "a zip archive"sv},
    Magic{"PK\x05\x06"sv, 0, "a zip archive"sv},
    Magic{"7z\xbc\xaf\x27\x1c"sv, 0, "a 7z archive"sv},
    Magic{"Rar!\x1a\x07"sv, 0, "a RAR archive"sv},
    Magic{"\x1f\x8b"sv, 0, "compressed with gzip; decompress it first"sv},
    Magic{"\xfd"
          "7zXZ\0"sv,
          0, "compressed with xz; decompress it first"sv},
    Magic{"\x28\xb5\x2f\xfd"sv, 0, "compressed with zstd; decompress it first"sv},
    Magic{"BZh"sv, 0, "compressed with bzip2; decompress it first"sv},
    Magic{"ustar"sv, 257, "a tar archive"sv},
    Magic{"\x7f"
          "ELF"sv,
          0, "a program"sv},
    Magic{"MZ"sv, 0, "a Windows program"sv},
};

// A partition table of the first sector: boot flags are 0 or 0x80.
bool has_mbr(const Bytes& head) {
  if (!has_at(head, 510, "\x55\xaa"sv)) return false;
  for (std::size_t entry = 446; entry < 510; entry += 16) {
    if (head[entry] != 0 && head[entry] != 0x80) return false;
  }
  return true;
}

bool has_file_system(const Bytes& head) {
  constexpr std::array kSuperblocks = {
      Magic{"\x53\xef"sv, 1024 + 56, "ext"sv}, Magic{"XFSB"sv, 0, "XFS"sv},
      Magic{"_BHRfS_M"sv, 0x10040, "btrfs"sv}, Magic{"NTFS    "sv, 3, "NTFS"sv},
      Magic{"EXFAT   "sv, 3, "exFAT"sv},       Magic{"FAT12   "sv, 54, "FAT"sv},
      Magic{"FAT16   "sv, 54, "FAT"sv},        Magic{"FAT32   "sv, 82, "FAT"sv},
      Magic{"LABELONE"sv, 512, "LVM"sv},       Magic{"LABELONE"sv, 0, "LVM"sv},
  };
  return std::ranges::any_of(kSuperblocks, [&](const Magic& magic) { return has_at(head, magic.offset, magic.bytes); });
}

bool looks_like_disk(const Bytes& head) {
  const bool has_gpt = has_at(head, 512, "EFI PART"sv) || has_at(head, 4096, "EFI PART"sv);
  return has_gpt || has_mbr(head) || has_file_system(head);
}

bool is_text(const Bytes& head) {
  const auto end = head.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(head.size(), 4096));
  return std::all_of(head.begin(), end, [](std::uint8_t c) { return c >= 0x20 || (c >= '\t' && c <= '\r'); });
}

// A VMDK's descriptor may begin with any comments.
bool is_vmdk_text(const Bytes& head) {
  constexpr std::string_view kVersion = "version=";
  std::size_t at = 0;
  while (at < head.size() && (head[at] == '#' || head[at] == ' ' || head[at] == '\r' || head[at] == '\n')) {
    while (at < head.size() && head[at] != '\n') ++at;
    ++at;
  }
  return has_at(head, at, kVersion) || has_at(head, 0, "# Disk DescriptorFile"sv);
}

constexpr std::string_view kWhatIsTaken = "Send a raw, qcow2, VHD, VHDX, VMDK or VDI disk image.";

std::unexpected<Error> no_disk(std::string_view what) {
  return fail(Code::kInvalidArgument, fmt::format("The file is no disk image: it {}. {}", what, kWhatIsTaken));
}

Result<DiskFormat> check_raw(const DiskBytes& bytes, const Bytes& head, const InspectOptions& options) {
  if (!looks_like_disk(head)) {
    for (const Magic& magic : kNoDisks) {
      if (has_at(head, magic.offset, magic.bytes)) return no_disk(fmt::format("is {}", magic.name));
    }
    if (is_text(head)) return no_disk("is text");
    return no_disk("has neither a partition table nor a known file system");
  }
  if (bytes.size_bytes < kRawBytesMin) return no_disk("is smaller than 1 MiB");
  if (bytes.size_bytes % kSectorBytes != 0) {
    return fail(Code::kInvalidArgument,
                fmt::format("The raw disk has {} bytes, which is not a multiple of 512. Was the file cut off?",
                            bytes.size_bytes));
  }
  if (bytes.size_bytes > options.virtual_bytes_max) {
    return fail(Code::kTooLarge,
                fmt::format("The raw disk has {}; at most {} are taken.", to_human_bytes(bytes.size_bytes),
                            to_human_bytes(options.virtual_bytes_max)));
  }
  return DiskFormat{DiskFormat::Kind::kRaw, bytes.size_bytes};
}

}  // namespace

std::string_view to_string(DiskFormat::Kind kind) {
  switch (kind) {
    case DiskFormat::Kind::kRaw:
      return "raw";
    case DiskFormat::Kind::kQcow2:
      return "qcow2";
    case DiskFormat::Kind::kVhd:
      return "vhd";
    case DiskFormat::Kind::kVhdx:
      return "vhdx";
    case DiskFormat::Kind::kVmdk:
      return "vmdk";
    case DiskFormat::Kind::kVdi:
      return "vdi";
  }
  return "raw";
}

Status DiskBytes::read(std::uint64_t offset, std::span<std::uint8_t> out, std::string_view what) const {
  if (!holds(offset, out.size())) {
    return fail(Code::kInvalidArgument, fmt::format("The disk file is refused: it ends inside {}.", what));
  }
  if (out.empty()) return {};
  return read_at(offset, out);
}

Result<DiskFormat> inspect_disk(const DiskBytes& bytes, const InspectOptions& options) {
  if (bytes.size_bytes == 0) return no_disk("is empty");
  Bytes head(std::min(bytes.size_bytes, kHeadBytes));
  TRY(bytes.read(0, head, "its first bytes"));

  std::vector<const FormatMagic*> found;
  for (const FormatMagic& format : kFormats) {
    if (has_at(head, format.offset, format.bytes)) found.push_back(&format);
  }
  // A dynamic VHD ends with a copy of its first sector: that is one format, not two.
  if (bytes.size_bytes >= kSectorBytes && !has_at(head, 0, kFixedVhd.bytes)) {
    Bytes footer(kSectorBytes);
    TRY(bytes.read(bytes.size_bytes - kSectorBytes, footer, "its last sector"));
    if (has_at(footer, 0, kFixedVhd.bytes)) found.push_back(&kFixedVhd);
  }
  if (is_vmdk_text(head)) found.push_back(&kVmdkText);
  if (found.size() > 1) {
    return fail(Code::kInvalidArgument, fmt::format("The file can be read as two formats, {} and {}, and is refused.",
                                                    found[0]->name, found[1]->name));
  }
  if (found.empty()) return check_raw(bytes, head, options);
  if (found[0]->check != nullptr) return found[0]->check(bytes, options);
  return fail(Code::kUnsupported, fmt::format("The file is {}. {} Convert it with qemu-img convert -O qcow2.",
                                              found[0]->name, kWhatIsTaken));
}

Result<DiskFormat> inspect_disk_file(const std::filesystem::path& path, const InspectOptions& options) {
  const FileDescriptor file =
      TRY(open_file(AT_FDCWD, path.string(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, "open the disk file"));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail(errno_error(errno, "look at the disk file"));
  if (!S_ISREG(status.st_mode)) return fail(Code::kInvalidArgument, "The disk image is not a regular file.");
  const auto read = [&file](std::uint64_t offset, std::span<std::uint8_t> out) -> Status {
    const std::size_t count = TRY(read_at(file.get(), offset, std::as_writable_bytes(out), "read the disk file"));
    if (count != out.size()) return fail(Code::kConflict, "The disk file shrank while it was read.");
    return {};
  };
  return inspect_disk({static_cast<std::uint64_t>(status.st_size), read}, options);
}

}  // namespace atelier::image
