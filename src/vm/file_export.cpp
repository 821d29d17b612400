#include "vm/file_export.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "base/json.h"

namespace atelier::vm {
namespace {

struct NamedFormat {
  std::string_view name;
  FileFormat format;
  std::string_view driver;  // QEMU's name
};
constexpr std::array kFormats = {
    NamedFormat{"raw", FileFormat::kRaw, "raw"},    NamedFormat{"qcow2", FileFormat::kQcow2, "qcow2"},
    NamedFormat{"vhd", FileFormat::kVhd, "vpc"},    NamedFormat{"vhdx", FileFormat::kVhdx, "vhdx"},
    NamedFormat{"vmdk", FileFormat::kVmdk, "vmdk"}, NamedFormat{"vdi", FileFormat::kVdi, "vdi"},
};

std::string_view driver_of(FileFormat format) {
  for (const NamedFormat& one : kFormats) {
    if (one.format == format) return one.driver;
  }
  return "raw";
}

// QEMU's description of the file as the sandbox shows it.
json::object node_of(FileFormat format) {
  json::object node = {{"driver", driver_of(format)}, {"file", {{"driver", "file"}, {"filename", kConfinedFile}}}};
  // No backing, whatever the header names.
  if (format == FileFormat::kQcow2 || format == FileFormat::kVmdk) node["backing"] = nullptr;
  // Else QEMU believes the geometry of some writers' files, which is rounded.
  if (format == FileFormat::kVhd) node["force_size_calc"] = "current_size";
  return node;
}

}  // namespace

Result<FileFormat> parse_file_format(std::string_view name) {
  for (const NamedFormat& one : kFormats) {
    if (one.name == name) return one.format;
  }
  return fail(Code::kInvalidArgument,
              fmt::format("The format {} is not known: raw, qcow2, vhd, vhdx, vmdk and vdi are.", name));
}

Result<DiskExport> export_file(const std::filesystem::path& path, FileFormat format, const ConfineOptions& options) {
  // Not qemu-storage-daemon, which does not take the option that a VHD needs.
  const auto command = [&](const std::string& folder) {
    return std::vector<std::string>{"qemu-nbd",
                                    "--read-only",
                                    "--persistent",
                                    fmt::format("--shared={}", options.connections_max),
                                    "--pid-file=" + folder + "/pid",
                                    "--socket=" + folder + "/nbd.sock",
                                    fmt::format("--export-name={}", kExportName),
                                    "json:" + to_text(node_of(format))};
  };
  return serve_disk({.command = command,
                     .confinement = Confinement{.read_only_file = path,
                                                .writable_folder = {},
                                                .memory_bytes_max = options.memory_bytes_max,
                                                .cpu_time_max = options.cpu_time_max},
                     .start_timeout = options.start_timeout});
}

}  // namespace atelier::vm
