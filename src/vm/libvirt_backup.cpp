#include "vm/libvirt_backup.h"

#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "vm/domain_xml.h"
#include "vm/nbd_disk.h"

namespace atelier::vm {
namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* kLibvirtsExport = "vda";
constexpr const char* kOurExport = "disk";
constexpr unsigned kOurLayers = 2;  // the scratch file lies on the overlay, the overlay on the image
constexpr auto kEndPoll = std::chrono::milliseconds(10);
// libvirt handles a domain's events in turn, and one that tells of an agent just come up waits 30 s for the job's end.
constexpr auto kEndTime = std::chrono::seconds(120);
constexpr std::uint64_t kWriteBytes = 2 << 20;  // of one write of a guest, and more
constexpr int kThawTries = 5;
constexpr auto kThawPause = std::chrono::seconds(1);
constexpr auto kAgentWait = std::chrono::seconds(20);
constexpr auto kAgentPoll = std::chrono::milliseconds(50);

// Beside the overlay, in the VM's own folder; the socket where QEMU makes its others.
struct Files {
  std::filesystem::path folder;
  std::filesystem::path scratch;
  std::filesystem::path socket;
};

Result<Files> files_of(virDomainPtr domain) {
  const auto notes = parse_notes(metadata_of(domain));
  if (!notes || notes->disk.empty()) {
    return fail(Code::kFailedPrecondition, "The virtual machine is not one of this service.");
  }
  const std::filesystem::path folder = std::filesystem::path(notes->disk).parent_path();
  return Files{.folder = folder, .scratch = folder / "scratch.qcow2", .socket = folder / "run" / "nbd.sock"};
}

bool last_error_is(int code) {
  const virErrorPtr last = virGetLastError();
  return last != nullptr && last->code == code;
}

Result<bool> has_backup(virDomainPtr domain) {
  char* const text = virDomainBackupGetXMLDesc(domain, 0);
  std::free(text);
  if (text != nullptr) return true;
  if (last_error_is(VIR_ERR_NO_DOMAIN_BACKUP) || last_error_is(VIR_ERR_OPERATION_INVALID)) return false;
  return fail(libvirt_error("look for a backup of a virtual machine"));
}

// Aborts the backup job and waits until libvirt has closed its server and removed the scratch file.
Status end_job(virDomainPtr domain) {
  const auto deadline = Clock::now() + kEndTime;
  auto next_ask = Clock::now();
  while (TRY(has_backup(domain))) {
    if (Clock::now() > deadline) return fail(Code::kUnavailable, "A backup of the virtual machine does not end.");
    if (Clock::now() >= next_ask) {
      next_ask = Clock::now() + std::chrono::seconds(1);
      virDomainAbortJob(domain);  // refused when it has just ended
    }
    std::this_thread::sleep_for(kEndPoll);
  }
  return {};
}

// No file is left of a job that the host's end or a broken libvirt cut off.
void remove_files(const Files& files) {
  std::error_code ignored;
  std::filesystem::remove(files.scratch, ignored);
  std::filesystem::remove(files.socket, ignored);
}

std::uint64_t free_bytes(const std::filesystem::path& folder) {
  struct statvfs facts{};
  if (::statvfs(folder.c_str(), &facts) != 0) return 0;
  return static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
}

Error no_room() {
  return {Code::kResourceExhausted,
          "The host has too little free space to keep this moment of a running virtual machine's disk. Nothing was "
          "kept of this attempt. Stop the virtual machine first, or ask the operator for more space."};
}

Error too_much_written() {
  return {Code::kResourceExhausted,
          "The virtual machine wrote so much meanwhile that this moment of its disk could not be kept any longer. Stop "
          "it first, or try again while it is less busy."};
}

// The guest's file systems stand still as long as this lives. Thawing wants an answer of the agent, and is tried again
// for it: a guest that stays frozen is worse than no backup.
class Freeze {
 public:
  Freeze(virDomainPtr domain, const BackupOptions& options) : domain_(domain) {
    virDomainAgentSetResponseTimeout(domain, static_cast<int>(options.agent_time_max.count()), 0);
    if (!agent_answers_a_thaw()) return;
    must_thaw_ = true;  // also when the next call fails: it may yet be done
    frozen_ = virDomainFSFreeze(domain, nullptr, 0, 0);
    log::info("virtual machine {}: {} file systems are frozen", uuid_of(domain), std::max(frozen_, 0));
  }
  Freeze(const Freeze&) = delete;
  Freeze& operator=(const Freeze&) = delete;
  ~Freeze() {
    const auto thawed = thaw();
    if (!thawed) log::error("virtual machine {}: {}", uuid_of(domain_), thawed.error().message());
  }

  // How many file systems were frozen all the time until now.
  Result<int> thaw() {
    if (!must_thaw_) return 0;
    for (int tries = 1;; ++tries) {
      const int thawed = virDomainFSThaw(domain_, nullptr, 0, 0);
      if (thawed >= 0 || virDomainIsActive(domain_) == 0) {
        must_thaw_ = false;
        // Fewer than were frozen: somebody else thawed them before us.
        return frozen_ > 0 && thawed >= frozen_ ? frozen_ : 0;
      }
      if (tries == kThawTries) break;
      std::this_thread::sleep_for(kThawPause);
    }
    return fail(Code::kUnavailable, "The guest's agent froze the file systems and then did not answer.");
  }

 private:
  // Thaws what a former backup may have left frozen. libvirt knows from QEMU whether an agent has opened the port; just
  // after a restart it does not speak to that agent yet.
  bool agent_answers_a_thaw() const {
    const auto deadline = Clock::now() + kAgentWait;
    while (virDomainFSThaw(domain_, nullptr, 0, 0) < 0) {
      if (!agent_is_there() || Clock::now() > deadline) return false;
      std::this_thread::sleep_for(kAgentPoll);
    }
    return true;
  }

  bool agent_is_there() const {
    char* const text = virDomainGetXMLDesc(domain_, 0);
    const bool found =
        text != nullptr && std::string_view(text).contains("name='org.qemu.guest_agent.0' state='connected'");
    std::free(text);
    return found;
  }

  virDomainPtr domain_;
  bool must_thaw_ = false;
  int frozen_ = -1;
};

std::string job_xml(const Files& files) {
  return fmt::format(
      "<domainbackup mode='pull'>\n"
      "  <server transport='unix' socket='{}'/>\n"
      "  <disks>\n"
      "    <disk name='vda' backup='yes' type='file' exportname='{}'>\n"
      "      <driver type='qcow2'/>\n"
      "      <scratch file='{}'/>\n"
      "    </disk>\n"
      "  </disks>\n"
      "</domainbackup>\n",
      xml_escape(files.socket.string()), kLibvirtsExport, xml_escape(files.scratch.string()));
}

// QEMU's answer to a command of its own protocol: what is under "return".
std::optional<json::value> ask_qemu(virDomainPtr domain, const json::object& command) {
  char* text = nullptr;
  if (virDomainQemuMonitorCommand(domain, to_text(command).c_str(), &text, 0) != 0) return std::nullopt;
  const auto answer = parse_json_object(text);
  if (!answer || answer->if_contains("return") == nullptr) log::warning("qemu refused a command: {}", text);
  std::free(text);
  if (!answer || answer->if_contains("return") == nullptr) return std::nullopt;
  return answer->at("return");
}

// libvirt's export does not tell which layer an extent is in. The same node is exported a second time, by a server that
// does; it ends with the job, as libvirt then stops QEMU's NBD server with all its exports.
bool export_with_depth(virDomainPtr domain) {
  const auto exports = ask_qemu(domain, {{"execute", "query-block-exports"}});
  if (!exports || !exports->is_array() || exports->get_array().size() != 1) return false;
  const json::value& exported = exports->get_array().front();
  const std::string node = exported.is_object() ? string_at(exported.get_object(), "node-name") : "";
  if (node.empty()) return false;
  const json::object wanted{{"type", "nbd"},      {"id", "atelier"},   {"node-name", node},
                            {"name", kOurExport}, {"writable", false}, {"allocation-depth", true}};
  return ask_qemu(domain, {{"execute", "block-export-add"}, {"arguments", wanted}}).has_value();
}

// A job under way, and the thread that looks after its bounds. The guest's writes wait for their old bytes to be copied
// into the scratch file; when that has no room the guest stops as by an I/O error, and goes on once the job has ended.
class RunningBackup {
 public:
  RunningBackup(LibvirtConnection& connection, std::string uuid, Files files, const BackupOptions& options)
      : connection_(connection), uuid_(std::move(uuid)), files_(std::move(files)), options_(options) {}
  RunningBackup(const RunningBackup&) = delete;
  RunningBackup& operator=(const RunningBackup&) = delete;
  ~RunningBackup() {
    watch_ = std::jthread();
    end();
  }

  void start_watch() {
    watch_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested() && health()) {
        std::unique_lock lock(waiting_);
        wake_.wait_for(lock, stop, options_.look_interval, [] { return false; });
      }
    });
  }

  // Looks now. What was lost once stays lost.
  Status health() {
    {
      const std::scoped_lock lock(mutex_);
      if (lost_) return fail(*lost_);
    }
    std::optional<Error> problem = look();
    if (!problem) return {};
    log::warning("backup of virtual machine {}: {}", uuid_, problem->message());
    end();
    const std::scoped_lock lock(mutex_);
    if (!lost_) lost_ = std::move(problem);
    return fail(*lost_);
  }

 private:
  std::optional<Error> look() {
    const auto domain = connection_.domain(uuid_);
    if (!domain) {
      if (domain.error().code() != Code::kNotFound) return std::nullopt;  // libvirt is away; the job goes on without it
      return Error(Code::kUnavailable, "The virtual machine was removed while its disk was read.");
    }
    if (virDomainIsActive(domain->get()) == 0) {
      return Error(Code::kUnavailable, "The virtual machine went off while its disk was read.");
    }
    if (free_bytes(files_.folder) < options_.free_bytes_min) return no_room();
    int state = 0;
    int reason = 0;
    if (virDomainGetState(domain->get(), &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED &&
        reason == VIR_DOMAIN_PAUSED_IOERROR) {
      // A guest's write that found no room for its old bytes shows in no other way.
      if (free_bytes(files_.folder) < options_.free_bytes_min + kWriteBytes) return no_room();
      return Error(Code::kUnavailable, "The virtual machine stopped with an I/O error while its disk was read.");
    }
    return look_at_job(domain->get());
  }

  std::optional<Error> look_at_job(virDomainPtr domain) const {
    int type = 0;
    int count = 0;
    virTypedParameterPtr facts = nullptr;
    if (virDomainGetJobStats(domain, &type, &facts, &count, 0) != 0) return std::nullopt;
    unsigned long long scratch_bytes = 0;
    virTypedParamsGetULLong(facts, count, VIR_DOMAIN_JOB_DISK_TEMP_USED, &scratch_bytes);
    virTypedParamsFree(facts, count);
    if (type == VIR_DOMAIN_JOB_NONE) {
      return Error(Code::kUnavailable, "The hypervisor ended the backup of the virtual machine.");
    }
    if (scratch_bytes > options_.scratch_bytes_max) return too_much_written();
    return std::nullopt;
  }

  void end() {
    const auto domain = connection_.domain(uuid_);
    if (!domain) {
      if (domain.error().code() == Code::kNotFound) remove_files(files_);
      return;
    }
    const Status ended = end_job(domain->get());
    if (ended) return remove_files(files_);
    log::error("backup of virtual machine {}: {}", uuid_, ended.error().message());
  }

  LibvirtConnection& connection_;
  const std::string uuid_;
  const Files files_;
  const BackupOptions options_;
  std::mutex mutex_;
  std::optional<Error> lost_;  // guarded by mutex_
  std::mutex waiting_;
  std::condition_variable_any wake_;
  std::jthread watch_;
};

Status check_runs(virDomainPtr domain) {
  int state = 0;
  int reason = 0;
  if (virDomainGetState(domain, &state, &reason, 0) != 0) return fail(libvirt_error("tell a virtual machine's state"));
  if (state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED) return {};
  return fail(Code::kFailedPrecondition, "The virtual machine does not run.");
}

}  // namespace

Result<DiskBackup> begin_libvirt_backup(LibvirtConnection& connection, const std::string& uuid,
                                        const BackupOptions& options, TaskContext& task) {
  const Domain domain = TRY(connection.domain(uuid));
  Files files = TRY(files_of(domain.get()));
  TRY(check_runs(domain.get()));
  std::optional<Freeze> freeze(std::in_place, domain.get(), options);  // thaws what a killed process left frozen
  TRY(end_job(domain.get()));
  remove_files(files);
  TRY(task.check());
  if (free_bytes(files.folder) < options.free_bytes_min) return fail(no_room());

  const std::string xml = job_xml(files);
  const std::string socket = files.socket.string();
  auto running = std::make_shared<RunningBackup>(connection, uuid, std::move(files), options);
  if (virDomainBackupBegin(domain.get(), xml.c_str(), nullptr, 0) != 0) {
    return fail(libvirt_error("keep a moment of the virtual machine's disk"));
  }
  const int frozen = TRY(freeze->thaw());
  freeze.reset();
  running->start_watch();
  const bool tells_depth = export_with_depth(domain.get());
  log::info("virtual machine {}: a moment of its disk is kept, with {} file systems frozen{}", uuid, frozen,
            tells_depth ? "" : "; its layers are unknown: all of it will be read");
  return DiskBackup({.uri = NbdDisk{.socket = socket, .export_name = tells_depth ? kOurExport : kLibvirtsExport}.uri(),
                     .layers = tells_depth ? kOurLayers : 1,
                     .consistency = frozen > 0 ? Consistency::kFileSystem : Consistency::kCrash,
                     .health = [raw = running.get()] { return raw->health(); },
                     .keeper = running});
}

}  // namespace atelier::vm
