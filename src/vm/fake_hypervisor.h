// Virtual machines that exist only in memory: for trying the service on a machine without QEMU, and for tests of what
// is above this seam. A VM "boots" and "shuts down" at once or after a delay; it never writes to its disk.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "vm/hypervisor.h"

namespace atelier::vm {

class FakeHypervisor final : public Hypervisor {
 public:
  struct Options {
    std::chrono::milliseconds start_delay{0};
    std::chrono::milliseconds shutdown_delay{0};    // of a guest asked to power off; longer than `graceful` = cut
    Consistency backup = Consistency::kFileSystem;  // what backups say; kCrash = guests without an agent
  };

  explicit FakeHypervisor(Options options) : options_(options) {}

  Status define(const VmSpec& spec) override;
  Status start(std::string_view uuid) override;
  Status stop(std::string_view uuid, const StopOptions& options, TaskContext& task) override;
  Status remove(std::string_view uuid) override;
  Result<DiskBackup> begin_backup(std::string_view uuid, const BackupOptions& options, TaskContext& task) override;
  Result<VmStatus> status(std::string_view uuid) override;
  Result<std::vector<ListedVm>> list() override;

 private:
  struct Vm {
    VmSpec spec;
    PowerState power = PowerState::kStopped;
    unsigned port = 0;
  };

  static VmStatus status_of(const Vm& vm);

  const Options options_;
  std::mutex mutex_;
  std::map<std::string, Vm, std::less<>> vms_;  // guarded by mutex_
  unsigned next_port_ = 1;                      // guarded by mutex_
};

}  // namespace atelier::vm
