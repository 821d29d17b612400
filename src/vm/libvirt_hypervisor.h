// Virtual machines by libvirt's QEMU driver.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vm/accelerator.h"
#include "vm/hypervisor.h"

namespace atelier::vm {

// One connection, opened again when it broke (libvirtd restarted). A thread of its own resumes VMs that stopped with an
// I/O error, again and again with growing pauses, while their image server answers: so a guest whose server was away,
// or whose host's disk was full, stalls and goes on instead of seeing the error.
class LibvirtHypervisor final : public Hypervisor {
 public:
  struct Options {
    std::string uri = "qemu:///system";  // or "qemu:///embed?root=DIR": the driver inside this process, no daemon
    Accelerator accelerator = Accelerator::kTcg;
    std::uint16_t ssh_port_first = 22000;  // host ports to choose from, on 127.0.0.1; below the ephemeral ones
    std::uint16_t ssh_port_last = 29999;
    std::chrono::milliseconds watch_interval{500};
    std::chrono::milliseconds resume_pause_max{5000};
  };

  // kUnavailable when libvirt does not answer.
  static Result<std::unique_ptr<LibvirtHypervisor>> open(Options options);
  // Leaves the VMs running (but those of qemu:///embed have lost their driver).
  ~LibvirtHypervisor() override;

  Status define(const VmSpec& spec) override;
  Status start(std::string_view uuid) override;
  Status stop(std::string_view uuid, const StopOptions& options, TaskContext& task) override;
  Status remove(std::string_view uuid) override;
  Result<DiskBackup> begin_backup(std::string_view uuid, const BackupOptions& options, TaskContext& task) override;
  Result<VmStatus> status(std::string_view uuid) override;
  Result<std::vector<ListedVm>> list() override;

 private:
  struct Parts;  // libvirt's types stay in the sources
  explicit LibvirtHypervisor(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace atelier::vm
