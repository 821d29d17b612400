#include "vm/overlay.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/json.h"
#include "vm/process.h"
#include "vm/qcow2_overlay.h"

namespace atelier::vm {
namespace {

std::string percent_encode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-._~/").contains(c);
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

Status sync_folder(const std::filesystem::path& path) {
  const FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return fail(errno_error(errno, "open a disk's folder to make its name durable"));
  if (::fsync(folder.get()) != 0) return fail(errno_error(errno, "make a disk's name durable"));
  return {};
}

// The virtual size in a qcow2 header; 0 when the file is none. https://gitlab.com/qemu-project/qemu
// docs/interop/qcow2.txt
std::uint64_t qcow2_disk_bytes(const std::filesystem::path& path) {
  std::array<char, 32> header{};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(header.data(), header.size()) || std::string_view(header.data(), 4) != "QFI\xfb") return 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 24; i < 32; ++i) bytes = (bytes << 8) | static_cast<unsigned char>(header.at(i));
  return bytes;
}

// In QEMU.
constexpr const char* kNode = "disk";
constexpr const char* kChangesNode = "changes";

json::object file_node(const std::string& path) {
  return {{"driver", "file"}, {"filename", path}, {"read-only", true}};
}

std::vector<std::string> node_argument(const json::object& node) { return {"--blockdev", to_text(node)}; }

// QEMU's own description of the overlay over its backing: given as a node, the name in the overlay's header is not
// used.
std::vector<std::string> overlay_nodes(const OverlayDisk& disk) {
  const json::object server = {{"type", "unix"}, {"path", disk.backing.socket}};
  const json::object backing = {{"driver", "nbd"},
                                {"node-name", "backing"},
                                {"read-only", true},
                                {"server", server},
                                {"export", disk.backing.export_name},
                                {"reconnect-delay", 30}};  // seconds a read waits for a restarted image server
  const json::object overlay = {{"driver", "qcow2"},
                                {"node-name", kNode},
                                {"read-only", true},
                                {"file", file_node(disk.path.string())},
                                {"backing", "backing"}};
  // The same without what lies below: tells what is written here without asking the image server of its holes.
  const json::object changes = {{"driver", "qcow2"},
                                {"node-name", kChangesNode},
                                {"read-only", true},
                                {"file", file_node(disk.path.string())},
                                {"backing", nullptr}};
  std::vector<std::string> arguments = node_argument(backing);
  for (const json::object& node : {overlay, changes}) {
    for (std::string& argument : node_argument(node)) arguments.push_back(std::move(argument));
  }
  return arguments;
}

}  // namespace

std::string NbdDisk::uri() const {
  return fmt::format("nbd+unix:///{}?socket={}", percent_encode(export_name), percent_encode(socket));
}

Status create_overlay(const OverlayDisk& disk) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(disk.path, error))) {
    if (qcow2_disk_bytes(disk.path) == disk.backing.disk_bytes && disk.backing.disk_bytes > 0) return {};
    return fail(Code::kAlreadyExists, "The virtual machine's folder already holds another disk.");
  }
  // Made beside its place and renamed: what has the name is whole.
  const std::filesystem::path part = disk.path.string() + ".part";
  std::filesystem::remove(part, error);
  TRY(write_qcow2_overlay(part, disk.backing.uri(), disk.backing.disk_bytes));
  if (::rename(part.c_str(), disk.path.c_str()) != 0)
    return fail(errno_error(errno, "name the virtual machine's disk"));
  return sync_folder(disk.path.parent_path());
}

Result<DiskExport> export_overlay(const OverlayDisk& disk, const ExportOptions& options) {
  const auto command = [&](const std::string& folder) {
    std::vector<std::string> arguments = {"qemu-storage-daemon", "--pidfile", folder + "/pid"};
    for (std::string& node : overlay_nodes(disk)) arguments.push_back(std::move(node));
    const json::object listener = {{"addr", {{"type", "unix"}, {"path", folder + "/nbd.sock"}}},
                                   {"max-connections", options.connections_max}};
    arguments.insert(arguments.end(), {"--nbd-server", to_text(listener)});
    for (const auto& [node, name] : {std::pair{kNode, kExportName}, std::pair{kChangesNode, kChangesExportName}}) {
      const json::object exported = {{"type", "nbd"}, {"id", name},        {"node-name", node},
                                     {"name", name},  {"writable", false}, {"allocation-depth", true}};
      arguments.insert(arguments.end(), {"--export", to_text(exported)});
    }
    return arguments;
  };
  return serve_disk({.command = command,
                     .changes_export = kChangesExportName,
                     .confinement = {},
                     .start_timeout = options.start_timeout});
}

}  // namespace atelier::vm
