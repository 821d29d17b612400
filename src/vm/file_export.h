// Offers a disk file from outside as a read-only NBD disk. The file may be hostile, and its format is said by the
// caller: nothing is probed, and no file that it names is opened.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "vm/disk_export.h"

namespace atelier::vm {

// Bounds of the sandbox that reads a file from outside.
struct ConfineOptions {
  unsigned connections_max = 4;
  std::chrono::milliseconds start_timeout{20000};
  std::uint64_t memory_bytes_max = 2ULL << 30;  // address space
  std::chrono::seconds cpu_time_max{6 * 3600};
};

enum class FileFormat { kRaw, kQcow2, kVhd, kVhdx, kVmdk, kVdi };

// From "raw", "qcow2", "vhd", "vhdx", "vmdk" and "vdi", as people and image::to_string() say; kInvalidArgument for
// others.
Result<FileFormat> parse_file_format(std::string_view name);

// The server runs in a sandbox that sees this one file, no network and no other process, with bounded memory and time.
// A backing file named in a header is not opened (its clusters read as zeros: refuse such files beforehand); a file
// that needs another one fails. A VHD's disk has the size its footer states, not the one of its geometry.
// kInvalidArgument when the file is not of this format.
Result<DiskExport> export_file(const std::filesystem::path& path, FileFormat format,
                               const ConfineOptions& options = {});

}  // namespace atelier::vm
