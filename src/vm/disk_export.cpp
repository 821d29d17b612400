#include "vm/disk_export.h"

#include <fstream>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>

#include "base/log.h"
#include "vm/nbd_disk.h"

namespace atelier::vm {
namespace {

using Clock = std::chrono::steady_clock;

// Last lines of a tool's log.
std::string read_tail(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  constexpr std::size_t kTail = 2000;
  return text.size() > kTail ? text.substr(text.size() - kTail) : text;
}

Error start_failure(const std::string& complaint) {
  log::error("the server of a disk did not start: {}", complaint);
  if (complaint.find("Failed to get") != std::string::npos && complaint.find("lock") != std::string::npos) {
    return {Code::kFailedPrecondition, "The disk is in use. Stop the virtual machine first."};
  }
  if (complaint.find("Failed to connect") != std::string::npos) {
    return {Code::kUnavailable, "The image server of the disk does not answer."};
  }
  return {Code::kInvalidArgument, "The disk cannot be read in the format it should have."};
}

}  // namespace

struct DiskExport::Running {
  Running(Child process, std::filesystem::path private_folder, const std::string& changes_export)
      : child(std::move(process)), folder(std::move(private_folder)), uri(uri_of(kExportName)) {
    if (!changes_export.empty()) changes_uri = uri_of(changes_export);
  }
  std::string uri_of(const std::string& name) const {
    return NbdDisk{.socket = (folder / "nbd.sock").string(), .export_name = name}.uri();
  }
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
  std::string changes_uri;
};

DiskExport::DiskExport(std::unique_ptr<Running> running) : running_(std::move(running)) {}
DiskExport::DiskExport(DiskExport&&) noexcept = default;
DiskExport& DiskExport::operator=(DiskExport&&) noexcept = default;
DiskExport::~DiskExport() = default;
std::string DiskExport::uri() const { return running_->uri; }
std::string DiskExport::changes_uri() const { return running_->changes_uri; }

Result<DiskExport> serve_disk(DiskServer server) {
  const std::filesystem::path folder = TRY(make_private_folder());
  const bool confined = server.confinement.has_value();
  if (confined) server.confinement->writable_folder = folder;
  auto started = Child::start(
      {.arguments = server.command(confined ? kConfinedFolder : folder.string()), .confinement = server.confinement},
      folder / "log");
  if (!started) {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return fail(std::move(started).error());
  }
  auto running = std::make_unique<DiskExport::Running>(std::move(*started), folder, server.changes_export);
  const auto deadline = Clock::now() + server.start_timeout;
  std::error_code ignored;
  while (!std::filesystem::exists(folder / "pid", ignored)) {  // written once it listens
    if (running->child->exit_code()) return fail(start_failure(read_tail(folder / "log")));
    if (Clock::now() > deadline) return fail(Code::kUnavailable, "The disk was not opened in time.");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return DiskExport(std::move(running));
}

}  // namespace atelier::vm
