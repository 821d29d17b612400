// A raw disk file becomes one of the formats that other programs read.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "vm/file_export.h"

namespace atelier::vm {

// A format to write, and its kind where it has several.
struct TargetFormat {
  FileFormat format = FileFormat::kRaw;
  std::string_view subformat{};  // in QEMU's words; empty for raw and qcow2
};

// `subformat` may be empty, for the first of: vhd "dynamic" or "fixed"; vhdx "dynamic" or "fixed"; vmdk
// "streamOptimized" or "monolithicSparse". raw and qcow2 have none. kInvalidArgument for others, kUnsupported for a
// format that is read only (vdi).
Result<TargetFormat> parse_target_format(std::string_view format, std::string_view subformat);

// Can the format hold a disk of just that size? kTooLarge, naming the format's bound, when it cannot. Every format
// keeps a size of whole sectors exactly: a VHD is written so that its readers do not take the rounded geometry for it.
Status check_disk_fits(const TargetFormat& target, std::uint64_t disk_bytes);

struct ConvertFileOptions {
  std::uint64_t memory_bytes_max = 2ULL << 30;
  std::chrono::seconds time_max{24 * 3600};
};

// Writes the raw disk file `raw` to `folder`/`name`, which is then not yet durable. QEMU's tool runs in a sandbox that
// sees the file, the folder (which it may write) and no network. kResourceExhausted when the disk is full.
struct ConvertFile {
  std::filesystem::path raw;
  std::filesystem::path folder;  // absolute
  std::string name;
  TargetFormat target;
};
Status convert_raw_file(const ConvertFile& conversion, const ConvertFileOptions& options = {});

}  // namespace atelier::vm
