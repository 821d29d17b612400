// The seam to whatever runs virtual machines. Two implementations ship: LibvirtHypervisor and FakeHypervisor; one
// conformance suite (hypervisor_test.cpp) runs against both.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"
#include "vm/disk_backup.h"
#include "vm/overlay.h"

namespace atelier::vm {

enum class GuestNetwork {
  kRestricted,  // the guest gets an address and is reached by ssh; it reaches nothing
  kOpen,        // it reaches whatever the host does, the host's own loopback services included
};

enum class SeedDisk {
  kNone,      // specialized image: nothing is touched
  kAttached,  // folder/seed.iso is given to the guest as a second, read-only disk
};

struct VmSpec {
  std::string uuid;  // lower case with dashes; names the VM in all calls
  std::string name;  // for people, any text
  unsigned vcpus = 1;
  unsigned memory_mib = 512;
  std::filesystem::path folder;  // the VM's own, absolute, exists: holds seed.iso and gets console.log and
                                 // run/vnc.sock. The user QEMU runs as must be able to traverse the way to it.
  OverlayDisk disk;              // made before define()
  SeedDisk seed = SeedDisk::kNone;
  GuestNetwork network = GuestNetwork::kRestricted;
};

enum class PowerState {
  kStopped,
  kRunning,
  kPaused,  // its disk's server or space is away: it goes on by itself when that is back
  kShuttingDown,
  kCrashed,  // off, and not because anybody or the guest wanted it; can be started
};

std::string_view to_string(PowerState state);  // "Stopped", "Running" …

struct VmStatus {
  PowerState power = PowerState::kStopped;
  std::string ssh_authority;         // "127.0.0.1:22042" while it runs (the guest's port 22), else ""
  std::filesystem::path vnc_socket;  // RFB without a password on a unix socket while it runs, else ""
};

struct ListedVm {
  std::string uuid;
  VmStatus status;
};

struct StopOptions {
  std::chrono::milliseconds graceful{
      30000};  // for the guest to power off by itself; then the power is cut. 0 = at once
};

// Thread-safe. Every call may be repeated: what is already so is success. Calls that name an unknown VM give kNotFound,
// except remove(). kUnavailable when the hypervisor does not answer: try again later. Messages hold no host path.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  // Makes the VM known, stopped. Defined again, a stopped VM takes the new settings and keeps its ssh port; a running
  // one takes them when it starts the next time.
  virtual Status define(const VmSpec& spec) = 0;
  // Powers it on; the image server of its disk must run. kFailedPrecondition when its disk or seed is missing.
  virtual Status start(std::string_view uuid) = 0;
  // Returns when it is off. Asks the guest to power off, and cuts the power after options.graceful. kCanceled when the
  // task is stopped meanwhile; the guest then goes on shutting down.
  virtual Status stop(std::string_view uuid, const StopOptions& options, TaskContext& task) = 0;
  // Cuts the power and forgets the VM. Its folder and disk stay: they are the caller's.
  virtual Status remove(std::string_view uuid) = 0;

  // Keeps this moment of a running VM's system disk and serves it. The guest's file systems are frozen for that moment
  // if its agent answers. Whatever a former backup of this VM left, also one of a process that was killed, is ended
  // first: the guest is thawed, the job aborted. So there is one backup of a VM at a time, and nobody may stop or
  // remove the VM meanwhile. kFailedPrecondition when it does not run, kResourceExhausted when the host has no room.
  virtual Result<DiskBackup> begin_backup(std::string_view uuid, const BackupOptions& options, TaskContext& task) = 0;

  virtual Result<VmStatus> status(std::string_view uuid) = 0;
  // Those of ours, ordered by uuid.
  virtual Result<std::vector<ListedVm>> list() = 0;
};

}  // namespace atelier::vm
