// One moment of a running VM's disk, kept and served while the VM goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace atelier::vm {

// How the bytes of a captured disk hang together.
enum class Consistency {
  kStopped,     // nothing ran: the disk as its guest left it
  kFileSystem,  // it ran: its file systems were frozen at that moment, with everything written out
  kCrash,       // it ran: the disk as after a power cut at that moment
};
// "Stopped", and Azure's words of restore points: "FileSystemConsistent", "CrashConsistent".
std::string_view to_string(Consistency consistency);

struct BackupOptions {
  // What the guest writes over meanwhile is kept aside; more than this ends the backup with kResourceExhausted.
  std::uint64_t scratch_bytes_max = 32ULL << 30;
  // So does less free space where the scratch file lies, before the guest itself runs out of it.
  std::uint64_t free_bytes_min = 64ULL << 20;
  std::chrono::seconds agent_time_max{60};       // for the guest's agent to freeze: it writes everything out first
  std::chrono::milliseconds look_interval{200};  // at the two bounds above
};

// The backup ends with the object; the VM never notices but for the moment of the freeze. Move it, and use it from one
// thread.
class DiskBackup {
 public:
  struct Parts {
    std::string uri;      // of the read-only NBD disk
    unsigned layers = 1;  // qemu:allocation-depth of at most this = written by the VM, not the image's
    Consistency consistency = Consistency::kCrash;
    std::function<Status()> health;  // any thread
    std::shared_ptr<void> keeper;    // of a type that only the hypervisor knows: ends the backup when it goes
  };
  explicit DiskBackup(Parts parts) : parts_(std::move(parts)) {}

  const std::string& uri() const { return parts_.uri; }
  // The topmost layers whose extents count as written since the image was cloned. A few more than were at that moment
  // may be: then more is read than need be, and the bytes are the same.
  unsigned layers() const { return parts_.layers; }
  Consistency consistency() const { return parts_.consistency; }
  // Ok while the moment is kept; afterwards why it was lost: kResourceExhausted for the bounds of BackupOptions,
  // kUnavailable when the VM went off. Who reads from uri() only sees the server go away.
  Status health() const { return parts_.health(); }

 private:
  Parts parts_;
};

}  // namespace atelier::vm
