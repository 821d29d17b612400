// nbdkit with our plugin, serving every image of one store folder as read-only NBD disks. It is a process of its own
// that outlives this one, so that guests notice nothing of our restarts; a later ImageServer on the same pid file takes
// it over. A guest whose server is away stalls (see LibvirtHypervisor) until it is back.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "vm/nbd_disk.h"

namespace atelier::vm {

// Thread-safe.
class ImageServer {
 public:
  enum class Watch { kNone, kRestart };

  struct Options {
    std::string plugin;                   // absolute path of nbdkit-atelier-plugin.so, or a name nbdkit knows
    std::vector<std::string> parameters;  // of the plugin, "store=DIR"
    std::filesystem::path
        socket;  // absolute, at most 107 bytes; its folder must exist and be traversable by QEMU's user
    std::filesystem::path pid_file;  // absolute; DIR/x.pid brings DIR/x.pid.lock with it
    std::filesystem::path log_file;  // nbdkit's standard error is appended; empty = dropped
    unsigned threads = 8;            // requests served at the same time, per connection
    Watch watch = Watch::kRestart;   // a thread of ours starts it again when it died
    std::chrono::milliseconds watch_interval{500};
    std::chrono::milliseconds start_timeout{20000};
    std::chrono::milliseconds stop_timeout{5000};  // then it is killed
  };

  // Starts the server, or takes over the one that runs with exactly these options; one that runs with others is ended
  // first. kUnavailable when it does not come up.
  static Result<std::unique_ptr<ImageServer>> open(Options options);
  // Leaves the server running.
  ~ImageServer();
  ImageServer(const ImageServer&) = delete;
  ImageServer& operator=(const ImageServer&) = delete;

  // Starts it when it is not there. Cheap when it is: call it before every use of a disk.
  Status ensure_running();
  // The disk of one image. Does not ask whether the store has it.
  NbdDisk disk(std::string_view root_hex, std::uint64_t disk_bytes) const;
  // Ends the server (and the watching of it) and returns when it is gone.
  Status stop();

 private:
  explicit ImageServer(Options options);
  std::vector<std::string> command() const;
  // The process's number, once it listens.
  Result<pid_t> launch(const std::vector<std::string>& arguments);
  Status start_locked();
  void watch(const std::stop_token& stop);

  const Options options_;
  std::mutex starting_;   // one start at a time in this process; a lock file does the same between processes
  bool stopped_ = false;  // guarded by starting_
  std::mutex waiting_;
  std::condition_variable_any wake_;
  std::jthread watcher_;
};

}  // namespace atelier::vm
