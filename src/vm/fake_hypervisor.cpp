#include "vm/fake_hypervisor.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

namespace atelier::vm {
namespace {

using Clock = std::chrono::steady_clock;

std::unexpected<Error> no_such_vm(std::string_view uuid) {
  return fail(Code::kNotFound, fmt::format("There is no virtual machine {}.", uuid));
}

}  // namespace

Status FakeHypervisor::define(const VmSpec& spec) {
  const std::scoped_lock lock(mutex_);
  Vm& vm = vms_[spec.uuid];
  vm.spec = spec;
  if (vm.port == 0) vm.port = next_port_++;
  return {};
}

Status FakeHypervisor::start(std::string_view uuid) {
  {
    const std::scoped_lock lock(mutex_);
    const auto found = vms_.find(uuid);
    if (found == vms_.end()) return no_such_vm(uuid);
    if (found->second.power != PowerState::kStopped) return {};
    std::error_code error;
    const VmSpec& spec = found->second.spec;
    if (!std::filesystem::exists(spec.disk.path, error) ||
        (spec.seed == SeedDisk::kAttached && !std::filesystem::exists(spec.folder / "seed.iso", error))) {
      return fail(Code::kFailedPrecondition, "The virtual machine's disk or seed is missing.");
    }
  }
  std::this_thread::sleep_for(options_.start_delay);
  const std::scoped_lock lock(mutex_);
  const auto found = vms_.find(uuid);
  if (found == vms_.end()) return no_such_vm(uuid);
  found->second.power = PowerState::kRunning;
  return {};
}

Status FakeHypervisor::stop(std::string_view uuid, const StopOptions& options, TaskContext& task) {
  const auto began = Clock::now();
  while (true) {
    {
      const std::scoped_lock lock(mutex_);
      const auto found = vms_.find(uuid);
      if (found == vms_.end()) return no_such_vm(uuid);
      Vm& vm = found->second;
      if (vm.power == PowerState::kStopped) return {};
      vm.power = PowerState::kShuttingDown;
      if (Clock::now() - began >= std::min(options.graceful, options_.shutdown_delay)) {
        vm.power = PowerState::kStopped;
        return {};
      }
    }
    TRY(task.check());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

Status FakeHypervisor::remove(std::string_view uuid) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = vms_.find(uuid); found != vms_.end()) vms_.erase(found);
  return {};
}

Result<DiskBackup> FakeHypervisor::begin_backup(std::string_view uuid, const BackupOptions&, TaskContext& task) {
  TRY(task.check());
  OverlayDisk disk;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = vms_.find(uuid);
    if (found == vms_.end()) return no_such_vm(uuid);
    if (found->second.power != PowerState::kRunning) {
      return fail(Code::kFailedPrecondition, "The virtual machine does not run.");
    }
    disk = found->second.spec.disk;
  }
  // Nobody writes to the disk, so it keeps this moment by itself.
  auto server = std::make_shared<DiskExport>(TRY(export_overlay(disk)));
  std::string uri = server->uri();
  return DiskBackup({.uri = std::move(uri),
                     .layers = 1,
                     .consistency = options_.backup,
                     .health = [] { return Status(); },
                     .keeper = std::move(server)});
}

VmStatus FakeHypervisor::status_of(const Vm& vm) {
  VmStatus status{.power = vm.power, .ssh_authority = "", .vnc_socket = {}};
  if (vm.power == PowerState::kRunning) {
    status.ssh_authority = fmt::format("127.0.0.1:{}", vm.port);
    status.vnc_socket = vm.spec.folder / "run" / "vnc.sock";
  }
  return status;
}

Result<VmStatus> FakeHypervisor::status(std::string_view uuid) {
  const std::scoped_lock lock(mutex_);
  const auto found = vms_.find(uuid);
  if (found == vms_.end()) return no_such_vm(uuid);
  return status_of(found->second);
}

Result<std::vector<ListedVm>> FakeHypervisor::list() {
  const std::scoped_lock lock(mutex_);
  std::vector<ListedVm> listed;
  listed.reserve(vms_.size());
  for (const auto& [uuid, vm] : vms_) listed.push_back({.uuid = uuid, .status = status_of(vm)});
  return listed;
}

}  // namespace atelier::vm
