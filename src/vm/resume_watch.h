// Resumes the VMs that stopped with an I/O error. For the libvirt sources of this folder only.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "vm/libvirt_connection.h"

namespace atelier::vm {

// A thread that looks at the paused VMs again and again, until it is destroyed. Those paused by libvirt's reason "I/O
// error" are resumed when their image server's socket answers; one that stops again waits longer each time.
class ResumeWatch {
 public:
  struct Options {
    std::chrono::milliseconds interval{500};
    std::chrono::milliseconds pause_max{5000};
  };

  ResumeWatch(LibvirtConnection& connection, Options options);  // the connection outlives this

 private:
  struct Patience {
    std::chrono::steady_clock::time_point next_try;
    std::chrono::milliseconds pause{0};
  };

  void run(const std::stop_token& stop);
  void look();
  void try_resume(virDomainPtr domain);

  LibvirtConnection& connection_;
  const Options options_;
  std::map<std::string, Patience, std::less<>> stopped_;  // by uuid; the thread's own
  std::mutex waiting_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace atelier::vm
