// Child processes: QEMU's tools, nbdkit, genisoimage. A command is an argument list, never a shell's text. Only
// standard input, output and error reach a child; all other descriptors are closed at exec. Thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace atelier::vm {

// A sandbox made with bubblewrap: no network, no capabilities, its own process numbers and a file system of /usr, the
// files below and nothing else.
struct Confinement {
  std::filesystem::path read_only_file;    // seen inside as kConfinedFile
  std::filesystem::path writable_folder;   // seen inside as kConfinedFolder
  std::uint64_t memory_bytes_max = 0;      // address space; 0 = no bound
  std::uint64_t file_bytes_max = 1 << 20;  // of any file it writes
  std::chrono::seconds cpu_time_max{3600};
};
inline constexpr const char* kConfinedFile = "/input";
inline constexpr const char* kConfinedFolder = "/work";

struct Command {
  std::vector<std::string> arguments;  // [0] is looked up in PATH unless it has a slash
  std::optional<Confinement> confinement;
};

struct RunOptions {
  std::chrono::milliseconds timeout{60000};  // then it is killed: kUnavailable
  std::size_t output_bytes_max = 1 << 20;    // kept of each of output and error; the rest is read and dropped
};

struct Finished {
  int exit_code = 0;  // 128 + signal when a signal ended it
  std::string output;
  std::string error;
};

// Runs the command to its end. An exit code other than 0 is no failure of run().
Result<Finished> run(const Command& command, const RunOptions& options = {});
// The same, and an exit code other than 0 gives kInternal; what it wrote to standard error goes to the log, not into
// the message.
Result<std::string> run_ok(const Command& command, const RunOptions& options = {});

// A child that lives no longer than this object, than the thread that started it, or than this process.
class Child {
 public:
  // Standard error goes to `log`, or nowhere when it is empty; output nowhere.
  static Result<Child> start(const Command& command, const std::filesystem::path& log = {});
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();  // SIGTERM, then after two seconds SIGKILL; reaps

  pid_t pid() const { return pid_; }
  // Its exit code once it has ended, without waiting.
  std::optional<int> exit_code();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  void end();

  pid_t pid_ = -1;  // -1: ended and reaped, or moved from
  int exit_code_ = 0;
};

// Starts a process that outlives this one: own session, not our child. Standard error is appended to `log`, when it has
// a name. Gives the process's number.
Result<pid_t> start_detached(const Command& command, const std::filesystem::path& log);

// When process `pid` started, as the kernel counts (clock ticks since boot), and its arguments: none while it is
// between two programs (execve) or about to end. nullopt when there is no such process or it has ended.
struct ProcessFacts {
  std::uint64_t start_ticks = 0;
  std::vector<std::string> arguments;
};
std::optional<ProcessFacts> process_facts(pid_t pid);

// A new private folder (mode 0700) for sockets, under the system's temporary folder.
Result<std::filesystem::path> make_private_folder();

}  // namespace atelier::vm
