// What a disk file from outside really is. The file is hostile: nothing it declares is believed, and only this code
// looks at it before a confined process may open it. It reads a bounded number of bytes and never follows a reference
// that the file makes to another file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "image/geometry.h"

namespace atelier::image {

struct DiskFormat {
  enum class Kind { kRaw, kQcow2, kVhd, kVhdx, kVmdk, kVdi };
  Kind kind = Kind::kRaw;
  std::uint64_t virtual_bytes = 0;  // the size a guest sees; a multiple of 512
};

// "raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi".
std::string_view to_string(DiskFormat::Kind kind);

struct InspectOptions {
  std::uint64_t virtual_bytes_max = kDiskBytesMax;
  // How many bytes of the disk one byte of the file may hold, compressed; what reads as zeros does not count. zlib can
  // say 1,032 in one byte; more is a bomb, or a disk that hardly compresses worse as a file with holes.
  std::uint64_t expansion_max = 4096;
};

// A file's bytes wherever they are. `read_at` fills all of `out` from `offset`; it is only called inside the file.
struct DiskBytes {
  std::uint64_t size_bytes = 0;
  std::function<Status(std::uint64_t offset, std::span<std::uint8_t> out)> read_at;

  // Reads inside the file; kInvalidArgument, naming `what`, where the file ends too early.
  Status read(std::uint64_t offset, std::span<std::uint8_t> out, std::string_view what) const;
  bool holds(std::uint64_t offset, std::uint64_t length) const {
    return offset <= size_bytes && length <= size_bytes - offset;
  }
};

// Tells the format by content and checks it whole; a raw disk must also look like one (partition table or file
// system).
//   kInvalidArgument: no disk, a damaged or dangerous one (backing file, data file, encryption, tables out of bounds),
//                     or one that is two formats at once
//   kUnsupported:     a disk of a format that is not taken: the message names it
//   kTooLarge:        a virtual size above the option's
// No message holds a path.
Result<DiskFormat> inspect_disk(const DiskBytes& bytes, const InspectOptions& options = {});

// The same for a regular file; symbolic links are not followed.
Result<DiskFormat> inspect_disk_file(const std::filesystem::path& path, const InspectOptions& options = {});

}  // namespace atelier::image
