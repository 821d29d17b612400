#include "vm/image_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>

#include "base/log.h"
#include "vm/process.h"

namespace atelier::vm {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPoll = std::chrono::milliseconds(10);

// Held while one process of several starts or ends the server.
class LockFile {
 public:
  static Result<LockFile> acquire(const std::filesystem::path& path, std::chrono::milliseconds timeout) {
    LockFile file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (file.fd_ < 0) return fail(errno_error(errno, "open the image server's lock file"));
    const auto deadline = Clock::now() + timeout;
    while (::flock(file.fd_, LOCK_EX | LOCK_NB) != 0) {
      if (Clock::now() > deadline) return fail(Code::kUnavailable, "Another process is starting the image server.");
      std::this_thread::sleep_for(kPoll);
    }
    return file;
  }
  LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_;
};

// The server that a pid file speaks of. A process is believed to be ours only when its own arguments name this pid
// file: numbers are used again.
struct RunningServer {
  pid_t pid = 0;
  ProcessFacts facts;
};

std::optional<RunningServer> find_server(const std::filesystem::path& pid_file) {
  std::ifstream file(pid_file);
  RunningServer server;
  if (!(file >> server.pid) || server.pid <= 1) return std::nullopt;
  auto facts = process_facts(server.pid);
  if (!facts) return std::nullopt;
  const auto& arguments = facts->arguments;
  if (arguments.empty() || std::filesystem::path(arguments.front()).filename() != "nbdkit") return std::nullopt;
  if (std::ranges::find(arguments, pid_file.string()) == arguments.end()) return std::nullopt;
  server.facts = std::move(*facts);
  return server;
}

bool socket_exists(const std::filesystem::path& path) {
  struct stat facts{};
  return ::lstat(path.c_str(), &facts) == 0 && S_ISSOCK(facts.st_mode);
}

// Still the process that was found, not another one with its number.
bool is_alive(const RunningServer& server) {
  const auto facts = process_facts(server.pid);
  return facts && facts->start_ticks == server.facts.start_ticks;
}

void end_server(const RunningServer& server, std::chrono::milliseconds timeout) {
  ::kill(server.pid, SIGTERM);
  const auto deadline = Clock::now() + timeout;
  while (is_alive(server) && Clock::now() < deadline) std::this_thread::sleep_for(kPoll);
  if (is_alive(server)) ::kill(server.pid, SIGKILL);
  const auto killed = Clock::now() + std::chrono::seconds(5);
  while (is_alive(server) && Clock::now() < killed) std::this_thread::sleep_for(kPoll);
}

}  // namespace

Result<std::unique_ptr<ImageServer>> ImageServer::open(Options options) {
  if (!options.socket.is_absolute() || !options.pid_file.is_absolute()) {
    return fail(Code::kInvalidArgument, "The image server's socket and pid file must be absolute paths.");
  }
  if (options.socket.native().size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(
        Code::kInvalidArgument,
        "The path of the image server's socket is longer than 107 bytes. Use a data folder with a shorter path.");
  }
  std::unique_ptr<ImageServer> server(new ImageServer(std::move(options)));
  TRY(server->ensure_running());
  if (server->options_.watch == Watch::kRestart) {
    server->watcher_ = std::jthread([raw = server.get()](const std::stop_token& stop) { raw->watch(stop); });
  }
  return server;
}

ImageServer::ImageServer(Options options) : options_(std::move(options)) {}

ImageServer::~ImageServer() = default;

std::vector<std::string> ImageServer::command() const {
  std::vector<std::string> arguments = {"nbdkit",
                                        "--foreground",
                                        "--readonly",
                                        "--threads",
                                        std::to_string(options_.threads),
                                        "--unix",
                                        options_.socket.string(),
                                        "--pidfile",
                                        options_.pid_file.string(),
                                        options_.plugin};
  arguments.insert(arguments.end(), options_.parameters.begin(), options_.parameters.end());
  return arguments;
}

Status ImageServer::ensure_running() {
  const std::scoped_lock lock(starting_);
  if (stopped_) return fail(Code::kFailedPrecondition, "The image server was stopped.");
  return start_locked();
}

Result<pid_t> ImageServer::launch(const std::vector<std::string>& arguments) {
  const pid_t pid = TRY(start_detached({.arguments = arguments, .confinement = {}}, options_.log_file));
  const auto deadline = Clock::now() + options_.start_timeout;
  // nbdkit makes it once it listens, and then writes its number.
  while (!find_server(options_.pid_file)) {
    if (!process_facts(pid)) {
      log::error("the image server {} ended at once; see {}", options_.socket.string(), options_.log_file.string());
      return fail(Code::kUnavailable, "The image server did not start; the server's log says why.");
    }
    if (Clock::now() > deadline) {
      ::kill(pid, SIGKILL);
      return fail(Code::kUnavailable, "The image server did not start in time.");
    }
    std::this_thread::sleep_for(kPoll);
  }
  return pid;
}

Status ImageServer::start_locked() {
  const auto ours = command();
  const auto usable = [&](const std::optional<RunningServer>& server) {
    return server && server->facts.arguments == ours && socket_exists(options_.socket);
  };
  if (usable(find_server(options_.pid_file))) return {};

  const LockFile lock = TRY(LockFile::acquire(options_.pid_file.string() + ".lock", options_.start_timeout));
  const auto server = find_server(options_.pid_file);
  if (usable(server)) return {};
  if (server) end_server(*server, options_.stop_timeout);
  std::error_code ignored;
  std::filesystem::remove(options_.socket, ignored);  // nbdkit does not replace a dead one
  std::filesystem::remove(options_.pid_file, ignored);

  const pid_t pid = TRY(launch(ours));
  // QEMU runs as another user; whoever may enter the folder may read the images.
  if (::chmod(options_.socket.c_str(), 0666) != 0)
    return fail(errno_error(errno, "open the image server's socket to QEMU"));
  log::info("image server {} started as process {}", options_.socket.string(), pid);
  return {};
}

NbdDisk ImageServer::disk(std::string_view root_hex, std::uint64_t disk_bytes) const {
  return {.socket = options_.socket.string(), .export_name = std::string(root_hex), .disk_bytes = disk_bytes};
}

void ImageServer::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(waiting_);
      wake_.wait_for(lock, stop, options_.watch_interval, [] { return false; });
    }
    if (stop.stop_requested()) return;
    if (const auto running = ensure_running(); !running) {
      log::warning("image server {}: {}", options_.socket.string(), running.error().message());
    }
  }
}

Status ImageServer::stop() {
  watcher_.request_stop();
  if (watcher_.joinable()) watcher_.join();
  const std::scoped_lock lock(starting_);
  stopped_ = true;
  const LockFile between = TRY(LockFile::acquire(options_.pid_file.string() + ".lock", options_.start_timeout));
  if (const auto server = find_server(options_.pid_file)) end_server(*server, options_.stop_timeout);
  std::error_code ignored;
  std::filesystem::remove(options_.socket, ignored);
  std::filesystem::remove(options_.pid_file, ignored);
  return {};
}

}  // namespace atelier::vm
