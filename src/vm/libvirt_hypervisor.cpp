#include "vm/libvirt_hypervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pwd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log.h"
#include "vm/domain_xml.h"
#include "vm/host_port.h"
#include "vm/libvirt_backup.h"
#include "vm/libvirt_connection.h"
#include "vm/resume_watch.h"

namespace atelier::vm {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kPortAttempts = 5;
constexpr auto kPowerPoll = std::chrono::milliseconds(100);
constexpr auto kAskAgain = std::chrono::seconds(5);  // a guest that boots still ignores the power button

PowerState power_of(int state, int reason) {
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
      return PowerState::kRunning;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
      return PowerState::kPaused;
    case VIR_DOMAIN_SHUTDOWN:
      return PowerState::kShuttingDown;
    case VIR_DOMAIN_CRASHED:
      return PowerState::kCrashed;
    default:
      return reason == VIR_DOMAIN_SHUTOFF_CRASHED ? PowerState::kCrashed : PowerState::kStopped;
  }
}

Result<VmStatus> status_of(virDomainPtr domain) {
  int state = 0;
  int reason = 0;
  if (virDomainGetState(domain, &state, &reason, 0) != 0) return fail(libvirt_error("tell a virtual machine's state"));
  VmStatus status{.power = power_of(state, reason), .ssh_authority = "", .vnc_socket = {}};
  const bool on = status.power != PowerState::kStopped && status.power != PowerState::kCrashed;
  const auto notes = parse_notes(metadata_of(domain));
  if (on && notes) {
    status.ssh_authority = fmt::format("127.0.0.1:{}", notes->ssh_port);
    status.vnc_socket = notes->vnc_socket;
  }
  return status;
}

// QEMU makes its VNC socket in folder/run and nothing else of the folder is its own: a guest that broke out could
// otherwise put links where we or libvirt write.
Status prepare_folder(const VmSpec& spec) {
  const std::filesystem::path run = spec.folder / "run";
  if ((run / "vnc.sock").native().size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(
        Code::kInvalidArgument,
        "The path of the virtual machine's folder is too long for a socket. Use a data folder with a shorter one.");
  }
  std::error_code error;
  std::filesystem::create_directory(run, error);
  if (error) return fail(errno_error(error.value(), "make the virtual machine's run folder"));
  // Ours to read, whoever writes it: libvirt's log daemon, or QEMU when it has none.
  const int console = ::open((spec.folder / "console.log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (console < 0) return fail(errno_error(errno, "make the virtual machine's console log"));
  ::close(console);
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwnam_r("libvirt-qemu", &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr && ::geteuid() == 0 && ::chown(run.c_str(), found->pw_uid, static_cast<gid_t>(-1)) != 0) {
    return fail(errno_error(errno, "give the run folder to QEMU"));
  }
  return {};
}

Status check_files(const DomainNotes& notes) {
  std::error_code error;
  if (!std::filesystem::exists(notes.disk, error)) {
    return fail(Code::kFailedPrecondition, "The virtual machine's disk is missing.");
  }
  if (!notes.seed.empty() && !std::filesystem::exists(notes.seed, error)) {
    return fail(Code::kFailedPrecondition, "The virtual machine's seed is missing.");
  }
  return {};
}

bool last_error_names_the_port() {
  const virErrorPtr last = virGetLastError();
  return last != nullptr && last->message != nullptr &&
         std::string_view(last->message).contains("Could not set up host forwarding rule");
}

Status cut_power(virDomainPtr domain) {
  if (virDomainIsActive(domain) == 0 || virDomainDestroy(domain) == 0) return {};
  Error failure = libvirt_error("cut the virtual machine's power");  // before the next call forgets it
  if (virDomainIsActive(domain) == 0) return {};
  return fail(std::move(failure));
}

// The embedded driver has no log daemon beside it; its settings are read from DIR/etc/qemu.conf.
Status prepare_embedded(const std::string& uri) {
  constexpr std::string_view kPrefix = "qemu:///embed?root=";
  if (!uri.starts_with(kPrefix)) return {};
  const std::filesystem::path settings = std::filesystem::path(uri.substr(kPrefix.size())) / "etc" / "qemu.conf";
  std::error_code error;
  if (std::filesystem::exists(settings, error)) return {};
  std::filesystem::create_directories(settings.parent_path(), error);
  std::ofstream file(settings);
  file << "stdio_handler = \"file\"\n";
  file.close();
  if (!file) return fail(Code::kInternal, "The embedded hypervisor's settings cannot be written.");
  return {};
}

std::string text_of(virDomainPtr domain) {
  char* text = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
  if (text == nullptr) return "";
  std::string copy(text);
  std::free(text);
  return copy;
}

}  // namespace

struct LibvirtHypervisor::Parts {
  explicit Parts(Options chosen) : options(std::move(chosen)), connection(options.uri) {}

  // libvirt examines QEMU when it first needs to, for seconds: let that be now, and not while a teacher waits for a VM.
  Status connect_and_look_at_qemu() {
    const SharedConnection open = TRY(connection.get());
    const char* type = options.accelerator == Accelerator::kKvm ? "kvm" : "qemu";
    std::free(virConnectGetDomainCapabilities(open.get(), nullptr, "x86_64", "pc", type, 0));
    return {};
  }

  // Ports of all our VMs, running or not.
  std::set<std::uint16_t> ports_in_use() {
    std::set<std::uint16_t> ports;
    if (const auto all = connection.domains(0)) {
      for (const Domain& domain : *all) {
        if (const auto notes = parse_notes(metadata_of(domain.get()))) ports.insert(notes->ssh_port);
      }
    }
    return ports;
  }

  Result<std::uint16_t> choose_port() {
    const auto port = pick_port(options.ssh_port_first, options.ssh_port_last, ports_in_use());
    if (!port) return fail(Code::kResourceExhausted, "The host has no free port left for the virtual machine's ssh.");
    return *port;
  }

  Status define_text(const std::string& xml) {
    const SharedConnection open = TRY(connection.get());
    const Domain defined(virDomainDefineXML(open.get(), xml.c_str()));
    if (!defined) return fail(libvirt_error("define a virtual machine"));
    return {};
  }

  // Gives a stopped VM another ssh port.
  Status move_port(virDomainPtr domain, std::uint16_t old_port) {
    const std::uint16_t port = TRY(choose_port());
    const auto xml = with_ssh_port(text_of(domain), old_port, port);
    if (!xml) return fail(Code::kInternal, "The virtual machine's definition was changed by somebody else.");
    log::info("virtual machine {}: ssh port {} is taken, now {}", uuid_of(domain), old_port, port);
    return define_text(*xml);
  }

  Options options;
  LibvirtConnection connection;
  std::optional<ResumeWatch> watch;  // last: ends first
};

Result<std::unique_ptr<LibvirtHypervisor>> LibvirtHypervisor::open(Options options) {
  auto parts = std::make_unique<Parts>(std::move(options));
  TRY(prepare_embedded(parts->options.uri));
  TRY(parts->connect_and_look_at_qemu());
  parts->watch.emplace(parts->connection, ResumeWatch::Options{.interval = parts->options.watch_interval,
                                                               .pause_max = parts->options.resume_pause_max});
  return std::unique_ptr<LibvirtHypervisor>(new LibvirtHypervisor(std::move(parts)));
}

LibvirtHypervisor::LibvirtHypervisor(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
LibvirtHypervisor::~LibvirtHypervisor() = default;

Status LibvirtHypervisor::define(const VmSpec& spec) {
  TRY(prepare_folder(spec));
  std::optional<std::uint16_t> port;
  if (const auto existing = parts_->connection.domain(spec.uuid)) {
    if (const auto notes = parse_notes(metadata_of(existing->get()))) port = notes->ssh_port;
  } else if (existing.error().code() != Code::kNotFound) {
    return fail(existing.error());
  }
  if (!port) port = TRY(parts_->choose_port());
  return parts_->define_text(domain_xml(spec, parts_->options.accelerator, *port));
}

Status LibvirtHypervisor::start(std::string_view uuid) {
  for (int attempt = 0;; ++attempt) {
    const Domain domain = TRY(parts_->connection.domain(uuid));
    if (virDomainIsActive(domain.get()) == 1) return {};
    const auto notes = parse_notes(metadata_of(domain.get()));
    if (!notes) return fail(Code::kFailedPrecondition, "The virtual machine is not one of this service.");
    TRY(check_files(*notes));
    if (port_is_free(notes->ssh_port)) {
      if (virDomainCreate(domain.get()) == 0) return {};
      const bool port_was_taken = last_error_names_the_port();
      Error failure = libvirt_error("start the virtual machine");  // before the next call forgets it
      if (virDomainIsActive(domain.get()) == 1) return {};         // somebody else started it meanwhile
      if (!port_was_taken) return fail(std::move(failure));
    }
    if (attempt + 1 == kPortAttempts) {
      return fail(Code::kUnavailable, "No free port was found for the virtual machine's ssh.");
    }
    TRY(parts_->move_port(domain.get(), notes->ssh_port));
  }
}

Status LibvirtHypervisor::stop(std::string_view uuid, const StopOptions& options, TaskContext& task) {
  const Domain domain = TRY(parts_->connection.domain(uuid));
  const auto deadline = Clock::now() + options.graceful;
  auto next_ask = Clock::now();
  while (Clock::now() < deadline) {
    const int active = virDomainIsActive(domain.get());
    if (active == 0) return {};
    if (active < 0) return fail(libvirt_error("tell whether a virtual machine runs"));
    TRY(task.check());
    if (Clock::now() >= next_ask) {
      next_ask = Clock::now() + kAskAgain;
      virDomainShutdownFlags(domain.get(), VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);  // refused when it just went off
    }
    std::this_thread::sleep_for(kPowerPoll);
  }
  if (virDomainIsActive(domain.get()) == 0) return {};
  if (options.graceful.count() > 0) log::warning("virtual machine {} did not power off in time: power cut", uuid);
  return cut_power(domain.get());
}

Status LibvirtHypervisor::remove(std::string_view uuid) {
  const auto domain = parts_->connection.domain(uuid);
  if (!domain) {
    if (domain.error().code() == Code::kNotFound) return {};
    return fail(domain.error());
  }
  TRY(cut_power(domain->get()));
  if (virDomainUndefineFlags(domain->get(), VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                                VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA) == 0) {
    return {};
  }
  Error failure = libvirt_error("forget a virtual machine");  // before the next call forgets it
  const auto gone = parts_->connection.domain(uuid);
  if (!gone && gone.error().code() == Code::kNotFound) return {};
  return fail(std::move(failure));
}

Result<DiskBackup> LibvirtHypervisor::begin_backup(std::string_view uuid, const BackupOptions& options,
                                                   TaskContext& task) {
  return begin_libvirt_backup(parts_->connection, std::string(uuid), options, task);
}

Result<VmStatus> LibvirtHypervisor::status(std::string_view uuid) {
  const Domain domain = TRY(parts_->connection.domain(uuid));
  return status_of(domain.get());
}

Result<std::vector<ListedVm>> LibvirtHypervisor::list() {
  std::vector<ListedVm> listed;
  for (const Domain& domain : TRY(parts_->connection.domains(0))) {
    if (!parse_notes(metadata_of(domain.get()))) continue;
    auto status = status_of(domain.get());
    if (!status) continue;  // removed meanwhile
    listed.push_back({.uuid = uuid_of(domain.get()), .status = std::move(*status)});
  }
  std::ranges::sort(listed, {}, &ListedVm::uuid);
  return listed;
}

}  // namespace atelier::vm
