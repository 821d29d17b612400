#include "vm/convert_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "vm/process.h"

namespace atelier::vm {
namespace {

struct Target {
  FileFormat format;
  std::string_view subformat;  // the first one of a format is its usual one
  std::string_view driver;     // QEMU's name
  std::string_view options;
  std::uint64_t disk_bytes_max;
};
constexpr std::uint64_t kAnySize = ~std::uint64_t{0};
constexpr std::uint64_t kVhdBytesMax = std::uint64_t{2040} << 30;
// Sectors of the file have numbers of 32 bits.
constexpr std::uint64_t kVmdkBytesMax = std::uint64_t{2} << 40;
constexpr std::uint64_t kVhdxBytesMax = std::uint64_t{64} << 40;
constexpr std::array kTargets = {
    Target{FileFormat::kRaw, "", "raw", "", kAnySize},
    Target{FileFormat::kQcow2, "", "qcow2", "", kAnySize},
    // force_size: the disk has its own size, not that of the next larger geometry.
    Target{FileFormat::kVhd, "dynamic", "vpc", "subformat=dynamic,force_size=on", kVhdBytesMax},
    Target{FileFormat::kVhd, "fixed", "vpc", "subformat=fixed,force_size=on", kVhdBytesMax},
    Target{FileFormat::kVhdx, "dynamic", "vhdx", "subformat=dynamic", kVhdxBytesMax},
    Target{FileFormat::kVhdx, "fixed", "vhdx", "subformat=fixed", kVhdxBytesMax},
    Target{FileFormat::kVmdk, "streamOptimized", "vmdk", "subformat=streamOptimized", kVmdkBytesMax},
    Target{FileFormat::kVmdk, "monolithicSparse", "vmdk", "subformat=monolithicSparse", kVmdkBytesMax},
};

const Target& find_target(const TargetFormat& wanted) {
  const auto found = std::ranges::find_if(kTargets, [&](const Target& target) {
    return target.format == wanted.format && target.subformat == wanted.subformat;
  });
  return found == kTargets.end() ? kTargets.front() : *found;
}

}  // namespace

Result<TargetFormat> parse_target_format(std::string_view format, std::string_view subformat) {
  const FileFormat wanted = TRY(parse_file_format(format));
  std::string known;
  for (const Target& target : kTargets) {
    if (target.format != wanted) continue;
    if (subformat.empty() || target.subformat == subformat) return TargetFormat{wanted, target.subformat};
    known += known.empty() ? "" : " and ";
    known += target.subformat;
  }
  if (wanted == FileFormat::kVdi) {
    return fail(Code::kUnsupported, "VDI is read, not written. Write qcow2, VHD or VMDK, which VirtualBox reads too.");
  }
  if (known.empty()) return fail(Code::kInvalidArgument, fmt::format("The format {} has no subformats.", format));
  return fail(Code::kInvalidArgument,
              fmt::format("The format {} has no subformat {}: it has {}.", format, subformat, known));
}

Status check_disk_fits(const TargetFormat& target, std::uint64_t disk_bytes) {
  const Target& found = find_target(target);
  if (disk_bytes <= found.disk_bytes_max) return {};
  return fail(Code::kTooLarge,
              fmt::format("The disk has {}, and the format holds at most {}. Write qcow2, vhdx or raw.",
                          to_human_bytes(disk_bytes), to_human_bytes(found.disk_bytes_max)));
}

Status convert_raw_file(const ConvertFile& conversion, const ConvertFileOptions& options) {
  const Target& target = find_target(conversion.target);
  std::error_code error;
  const std::uint64_t raw_bytes = std::filesystem::file_size(conversion.raw, error);
  if (error) return fail(errno_error(error.value(), "look at the raw disk file"));
  TRY(check_disk_fits(conversion.target, raw_bytes));
  std::vector<std::string> arguments = {"qemu-img", "convert", "-q", "-f", "raw", "-O", std::string(target.driver)};
  if (!target.options.empty()) arguments.insert(arguments.end(), {"-o", std::string(target.options)});
  arguments.insert(arguments.end(), {kConfinedFile, std::string(kConfinedFolder) + "/" + conversion.name});
  const Confinement confinement{
      .read_only_file = conversion.raw,
      .writable_folder = conversion.folder,
      .memory_bytes_max = options.memory_bytes_max,
      .file_bytes_max = 2 * raw_bytes + (std::uint64_t{1} << 30),  // the disk's bytes, and tables beside them
      .cpu_time_max = options.time_max};
  TRY(run_ok({.arguments = std::move(arguments), .confinement = confinement}, {.timeout = options.time_max}));
  return {};
}

}  // namespace atelier::vm
