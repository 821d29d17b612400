#include "image/disk_server_test_parts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

namespace atelier::image {
namespace {

bool takes_connections(const std::string& socket_path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  const bool is_up = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return is_up;
}

}  // namespace

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "atelier-XXXXXX").string();
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  path_ = name;
}
TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Outcome try_run(const std::string& command) {
  Outcome outcome;
  std::FILE* pipe = ::popen(("exec </dev/null 2>&1; " + command).c_str(), "r");
  std::array<char, 4096> part{};
  while (const std::size_t count = std::fread(part.data(), 1, part.size(), pipe)) {
    outcome.output.append(part.data(), count);
  }
  const int status = ::pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

std::string run(const std::string& command) {
  Outcome outcome = try_run(command);
  EXPECT_EQ(outcome.exit_code, 0) << command << "\n" << outcome.output;
  return std::move(outcome.output);
}

DiskServer::DiskServer(const std::vector<std::string>& command, std::string socket) : socket_(std::move(socket)) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, STDIN_FILENO);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!takes_connections(socket_)) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << command[0] << " does not serve";
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

DiskServer::~DiskServer() { kill(); }

void DiskServer::pause() const {
  ASSERT_EQ(::kill(pid_, SIGSTOP), 0);
  // All its threads have stopped only when the kernel tells the parent so.
  ASSERT_EQ(::waitpid(pid_, nullptr, WUNTRACED), pid_);
}

void DiskServer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  std::error_code ignored;
  std::filesystem::remove(socket_, ignored);
}

std::vector<std::string> nbdkit_file(const std::string& raw_file, const std::string& socket) {
  // One thread per connection: nbdkit 1.32.5 may end when a client leaves while several threads answer it.
  return {"nbdkit", "-f", "-r", "-t", "1", "-U", socket, "file", raw_file};
}

std::vector<std::string> qemu_nbd(const std::string& qcow2_file, const std::string& socket) {
  return {"qemu-nbd", "-r", "-t", "--shared=4", "-A", "-f", "qcow2", "-k", socket, qcow2_file};
}

}  // namespace atelier::image
