// Parts that several tests share: a private folder, shell commands, and NBD servers that live as long as a test.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace atelier::image {

// A private folder, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Runs a shell command without standard input; gives its standard output, and fails the test if the command fails.
std::string run(const std::string& command);
// Its exit code and what it wrote to both outputs.
struct Outcome {
  int exit_code = 0;
  std::string output;
};
Outcome try_run(const std::string& command);

// A program that serves NBD on a unix socket: nbdkit (give "-f", "-U", socket) or qemu-nbd ("-t", "-k", socket).
class DiskServer {
 public:
  // Starts it and waits until the socket takes connections; fails the test after 20 s.
  DiskServer(const std::vector<std::string>& command, std::string socket);
  ~DiskServer();
  DiskServer(const DiskServer&) = delete;
  DiskServer& operator=(const DiskServer&) = delete;

  std::string uri(const std::string& export_name = "") const {
    return "nbd+unix:///" + export_name + "?socket=" + socket_;
  }
  // Stops it with SIGSTOP; it stays connected and says nothing any more.
  void pause() const;
  // Ends it with SIGKILL and waits.
  void kill();

 private:
  const std::string socket_;
  pid_t pid_ = -1;
};

// nbdkit's file plugin on a raw file, and qemu-nbd on a qcow2 file with its allocation depths.
std::vector<std::string> nbdkit_file(const std::string& raw_file, const std::string& socket);
std::vector<std::string> qemu_nbd(const std::string& qcow2_file, const std::string& socket);

}  // namespace atelier::image
