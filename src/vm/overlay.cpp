#include "vm/overlay.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "vm/process.h"

namespace atelier::vm {
namespace {

using Clock = std::chrono::steady_clock;

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

Status sync_path(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return fail(errno_error(errno, "open a disk to make it durable"));
  const int failed = ::fsync(fd);
  const int why = errno;
  ::close(fd);
  if (failed != 0) return fail(errno_error(why, "make a disk durable"));
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

constexpr const char* kNode = "disk";  // the disk's node in QEMU, and its export's name

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
  std::vector<std::string> arguments = node_argument(backing);
  for (std::string& argument : node_argument(overlay)) arguments.push_back(std::move(argument));
  return arguments;
}

std::vector<std::string> file_nodes(FileFormat format) {
  json::object node = {{"node-name", kNode}, {"read-only", true}, {"file", file_node(kConfinedFile)}};
  if (format == FileFormat::kRaw) {
    node["driver"] = "raw";
  } else {
    node["driver"] = "qcow2";
    node["backing"] = nullptr;
  }
  return node_argument(node);
}

// Last lines of a tool's log.
std::string read_tail(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  constexpr std::size_t kTail = 2000;
  return text.size() > kTail ? text.substr(text.size() - kTail) : text;
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
  TRY_DURING(run_ok({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b",
                                   disk.backing.uri(), part.string(), std::to_string(disk.backing.disk_bytes)},
                     .confinement = {}}),
             "make the virtual machine's disk");
  TRY(sync_path(part, O_RDWR));
  if (::rename(part.c_str(), disk.path.c_str()) != 0)
    return fail(errno_error(errno, "name the virtual machine's disk"));
  return sync_path(disk.path.parent_path(), O_RDONLY | O_DIRECTORY);
}

struct DiskExport::Running {
  Running(Child process, std::filesystem::path private_folder, std::string socket_uri)
      : child(std::move(process)), folder(std::move(private_folder)), uri(std::move(socket_uri)) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    child.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

  std::optional<Child> child;
  std::filesystem::path folder;
  std::string uri;
};

DiskExport::DiskExport(std::unique_ptr<Running> running) : running_(std::move(running)) {}
DiskExport::DiskExport(DiskExport&&) noexcept = default;
DiskExport& DiskExport::operator=(DiskExport&&) noexcept = default;
DiskExport::~DiskExport() = default;
std::string DiskExport::uri() const { return running_->uri; }

namespace {

struct Server {
  std::vector<std::string> nodes;  // arguments that describe the disk
  unsigned connections_max;
  std::optional<Confinement> confinement;  // its writable folder is set here
  std::chrono::milliseconds start_timeout;
};

Error start_failure(const std::string& complaint) {
  log::error("qemu-storage-daemon did not start: {}", complaint);
  if (complaint.find("Failed to get") != std::string::npos && complaint.find("lock") != std::string::npos) {
    return {Code::kFailedPrecondition, "The disk is in use. Stop the virtual machine first."};
  }
  if (complaint.find("Failed to connect") != std::string::npos) {
    return {Code::kUnavailable, "The image server of the disk does not answer."};
  }
  return {Code::kInvalidArgument, "The disk cannot be read in the format it should have."};
}

Result<DiskExport> serve(Server server) {
  const std::filesystem::path folder = TRY(make_private_folder());
  const auto socket = folder / "nbd.sock";
  const bool confined = server.confinement.has_value();
  const std::string inside = confined ? kConfinedFolder : folder.string();
  if (confined) server.confinement->writable_folder = folder;
  std::vector<std::string> arguments = {"qemu-storage-daemon", "--pidfile", inside + "/pid"};
  arguments.insert(arguments.end(), server.nodes.begin(), server.nodes.end());
  const json::object listener = {{"addr", {{"type", "unix"}, {"path", inside + "/nbd.sock"}}},
                                 {"max-connections", server.connections_max}};
  const json::object exported = {{"type", "nbd"}, {"id", "export"},    {"node-name", kNode},
                                 {"name", kNode}, {"writable", false}, {"allocation-depth", true}};
  arguments.insert(arguments.end(), {"--nbd-server", to_text(listener), "--export", to_text(exported)});

  auto started = Child::start({.arguments = std::move(arguments), .confinement = server.confinement}, folder / "log");
  if (!started) {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return fail(std::move(started).error());
  }
  auto running = std::make_unique<DiskExport::Running>(std::move(*started), folder,
                                                       NbdDisk{.socket = socket.string(), .export_name = kNode}.uri());
  const auto deadline = Clock::now() + server.start_timeout;
  std::error_code ignored;
  while (!std::filesystem::exists(folder / "pid", ignored)) {  // written once it listens
    if (running->child->exit_code()) return fail(start_failure(read_tail(folder / "log")));
    if (Clock::now() > deadline) return fail(Code::kUnavailable, "The disk was not opened in time.");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return DiskExport(std::move(running));
}

}  // namespace

Result<DiskExport> export_overlay(const OverlayDisk& disk, const ExportOptions& options) {
  return serve({.nodes = overlay_nodes(disk),
                .connections_max = options.connections_max,
                .confinement = {},
                .start_timeout = options.start_timeout});
}

Result<DiskExport> export_file(const std::filesystem::path& path, FileFormat format, const ConfineOptions& options) {
  return serve({.nodes = file_nodes(format),
                .connections_max = options.connections_max,
                .confinement = Confinement{.read_only_file = path,
                                           .writable_folder = {},
                                           .memory_bytes_max = options.memory_bytes_max,
                                           .cpu_time_max = options.cpu_time_max},
                .start_timeout = options.start_timeout});
}

}  // namespace atelier::vm
