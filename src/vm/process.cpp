#include "vm/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "base/file_descriptor.h"
#include "base/log.h"
#include "base/text.h"

namespace atelier::vm {
namespace {

using Clock = std::chrono::steady_clock;

Result<FileDescriptor> open_file(const std::filesystem::path& path, int flags) {
  FileDescriptor file(::open(path.c_str(), flags | O_CLOEXEC, 0640));
  if (file.get() < 0) return fail(errno_error(errno, "open a child's log or input"));
  return file;
}

std::vector<std::string> confined(const Command& command) {
  if (!command.confinement) return command.arguments;
  const Confinement& bounds = *command.confinement;
  std::vector<std::string> arguments = {"bwrap",
                                        "--unshare-all",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--clearenv",
                                        "--setenv",
                                        "PATH",
                                        "/usr/bin:/usr/sbin",
                                        "--cap-drop",
                                        "ALL",
                                        "--ro-bind",
                                        "/usr",
                                        "/usr",
                                        "--proc",
                                        "/proc",
                                        "--dev",
                                        "/dev"};
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib64"}) {
    std::error_code error;
    if (std::filesystem::is_symlink(name, error)) {
      arguments.insert(arguments.end(), {"--symlink", std::string("usr") + name, name});
    } else if (std::filesystem::exists(name, error)) {
      arguments.insert(arguments.end(), {"--ro-bind", name, name});
    }
  }
  if (!bounds.read_only_file.empty()) {
    arguments.insert(arguments.end(), {"--ro-bind", bounds.read_only_file.string(), kConfinedFile});
  }
  if (!bounds.writable_folder.empty()) {
    arguments.insert(arguments.end(), {"--bind", bounds.writable_folder.string(), kConfinedFolder});
  }
  arguments.emplace_back("--");
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  return arguments;
}

enum class Lifetime { kOurs, kDetached };

// All that the child needs, made before the fork: between fork and exec only async-signal-safe calls are allowed.
struct Launch {
  std::vector<std::string> arguments;
  std::vector<char*> argument_pointers;
  std::array<int, 3> standard{};
  std::optional<Confinement> bounds;
  Lifetime lifetime = Lifetime::kOurs;
  pid_t parent = 0;
  int failure_pipe = -1;
};

void limit(__rlimit_resource resource, std::uint64_t value) {
  const rlimit bound{value, value};
  ::setrlimit(resource, &bound);
}

[[noreturn]] void run_child(const Launch& launch) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGQUIT}) ::signal(number, SIG_DFL);
  for (int target = 0; target < 3; ++target) {
    if (::dup2(launch.standard.at(static_cast<std::size_t>(target)), target) < 0) ::_exit(126);
  }
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (launch.lifetime == Lifetime::kDetached) {
    const int pid = ::getpid();
    if (::write(launch.failure_pipe, &pid, sizeof pid) != sizeof pid) ::_exit(126);
    ::setsid();
    if (::chdir("/") != 0) ::_exit(126);
  } else {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != launch.parent) ::_exit(126);  // it died before the line above
    ::setpgid(0, 0);                                 // the terminal's Ctrl-C is for us to pass on
  }
  if (launch.bounds) {
    if (launch.bounds->memory_bytes_max > 0) limit(RLIMIT_AS, launch.bounds->memory_bytes_max);
    limit(RLIMIT_FSIZE, launch.bounds->file_bytes_max);
    limit(RLIMIT_CPU, static_cast<std::uint64_t>(launch.bounds->cpu_time_max.count()));
    limit(RLIMIT_CORE, 0);
  }
  ::execvp(launch.argument_pointers.front(), launch.argument_pointers.data());
  const int why = errno;
  [[maybe_unused]] const ssize_t written = ::write(launch.failure_pipe, &why, sizeof why);
  ::_exit(127);
}

std::optional<int> read_number(int fd) {
  int number = 0;
  ssize_t got = 0;
  while ((got = ::read(fd, &number, sizeof number)) < 0 && errno == EINTR) {
  }
  if (got != sizeof number) return std::nullopt;
  return number;
}

// Forks and waits until the child's exec succeeded or failed.
Result<pid_t> launch(const Command& command, std::array<int, 3> standard, Lifetime lifetime) {
  Launch child;
  child.arguments = confined(command);
  for (std::string& argument : child.arguments) child.argument_pointers.push_back(argument.data());
  child.argument_pointers.push_back(nullptr);
  std::array<FileDescriptor, 3> copies;  // above 2, so that one dup2 in the child does not close another's source
  for (std::size_t i = 0; i < copies.size(); ++i) {
    copies.at(i) = FileDescriptor(::fcntl(standard.at(i), F_DUPFD_CLOEXEC, 3));
    if (copies.at(i).get() < 0) return fail(errno_error(errno, "duplicate a descriptor"));
    child.standard.at(i) = copies.at(i).get();
  }
  child.bounds = command.confinement;
  child.lifetime = lifetime;
  child.parent = ::getpid();
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno_error(errno, "make a pipe"));
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  child.failure_pipe = writer.get();

  pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error(errno, "start a process"));
  if (pid == 0) {
    if (lifetime == Lifetime::kDetached) {
      const pid_t first = ::getpid();
      const pid_t second = ::fork();  // the first one ends at once, so that init inherits the second
      if (second != 0) ::_exit(second < 0 ? 126 : 0);
      // A program may ask to be ended with its parent, as nbdkit does: init has to be that before it runs.
      while (::getppid() == first) ::usleep(200);
    }
    run_child(child);
  }
  writer.close();
  bool started = true;
  if (lifetime == Lifetime::kDetached) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    const std::optional<int> second = read_number(reader.get());
    started = second.has_value();
    pid = second.value_or(-1);
  }
  const std::optional<int> why = read_number(reader.get());
  if (started && !why) return pid;
  if (lifetime == Lifetime::kOurs) ::waitpid(pid, nullptr, 0);
  log::error("cannot run {}: error {}", child.arguments.front(), why.value_or(0));
  return fail(Code::kInternal, fmt::format("The program {} cannot be run. Is its package installed?",
                                           std::filesystem::path(child.arguments.front()).filename().string()));
}

int code_of(int wait_status) { return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status); }

// Moves what is there into `text`; false at the end of the stream.
bool drain(int fd, std::string& text, std::size_t bytes_max) {
  std::array<char, 16384> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  const std::size_t room = bytes_max - std::min(bytes_max, text.size());
  text.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
  return got > 0;
}

// Reads both streams to their ends; false when the time is over first.
bool collect(FileDescriptor& output, FileDescriptor& error, Finished& result, const RunOptions& options) {
  const auto deadline = Clock::now() + options.timeout;
  while (output.get() >= 0 || error.get() >= 0) {
    std::array<pollfd, 2> polls = {pollfd{output.get(), POLLIN, 0}, pollfd{error.get(), POLLIN, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    if (::poll(polls.data(), polls.size(), static_cast<int>(std::min<std::int64_t>(left, 1000))) < 0) continue;
    if (polls[0].revents != 0 && !drain(output.get(), result.output, options.output_bytes_max)) output.close();
    if (polls[1].revents != 0 && !drain(error.get(), result.error, options.output_bytes_max)) error.close();
  }
  return true;
}

}  // namespace

Result<Finished> run(const Command& command, const RunOptions& options) {
  std::array<int, 2> output_ends{};
  std::array<int, 2> error_ends{};
  if (::pipe2(output_ends.data(), O_CLOEXEC) != 0) return fail(errno_error(errno, "make a pipe"));
  FileDescriptor output(output_ends[0]);
  FileDescriptor output_writer(output_ends[1]);
  if (::pipe2(error_ends.data(), O_CLOEXEC) != 0) return fail(errno_error(errno, "make a pipe"));
  FileDescriptor error(error_ends[0]);
  FileDescriptor error_writer(error_ends[1]);
  FileDescriptor input = TRY(open_file("/dev/null", O_RDONLY));
  const pid_t pid = TRY(launch(command, {input.get(), output_writer.get(), error_writer.get()}, Lifetime::kOurs));
  output_writer.close();
  error_writer.close();

  Finished result;
  const bool in_time = collect(output, error, result, options);
  if (!in_time) ::kill(pid, SIGKILL);
  int wait_status = 0;
  while (::waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) {
    return fail(Code::kUnavailable, fmt::format("{} did not finish in time.", command.arguments.front()));
  }
  result.exit_code = code_of(wait_status);
  return result;
}

Result<std::string> run_ok(const Command& command, const RunOptions& options) {
  Finished finished = TRY(run(command, options));
  if (finished.exit_code == 0) return std::move(finished.output);
  const std::string program = std::filesystem::path(command.arguments.front()).filename().string();
  log::error("{} ended with {}: {}", program, finished.exit_code, finished.error);
  const bool full = finished.error.find("No space left on device") != std::string::npos;
  return fail(full ? Code::kResourceExhausted : Code::kInternal,
              full ? "The disk is full." : fmt::format("{} failed; the server's log says why.", program));
}

Result<Child> Child::start(const Command& command, const std::filesystem::path& log) {
  const FileDescriptor null = TRY(open_file("/dev/null", O_RDWR));
  FileDescriptor error;
  if (!log.empty()) error = TRY(open_file(log, O_WRONLY | O_CREAT | O_APPEND));
  const int error_fd = error.get() >= 0 ? error.get() : null.get();
  return Child(TRY(launch(command, {null.get(), null.get(), error_fd}, Lifetime::kOurs)));
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), exit_code_(other.exit_code_) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, -1);
    exit_code_ = other.exit_code_;
  }
  return *this;
}

Child::~Child() { end(); }

std::optional<int> Child::exit_code() {
  if (pid_ < 0) return exit_code_;
  int wait_status = 0;
  if (::waitpid(pid_, &wait_status, WNOHANG) != pid_) return std::nullopt;
  pid_ = -1;
  exit_code_ = code_of(wait_status);
  return exit_code_;
}

void Child::end() {
  if (pid_ < 0 || exit_code()) return;
  ::kill(pid_, SIGTERM);
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  while (Clock::now() < deadline) {
    if (exit_code()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

Result<pid_t> start_detached(const Command& command, const std::filesystem::path& log) {
  const FileDescriptor null = TRY(open_file("/dev/null", O_RDWR));
  FileDescriptor error;
  if (!log.empty()) error = TRY(open_file(log, O_WRONLY | O_CREAT | O_APPEND));
  const int error_fd = error.get() >= 0 ? error.get() : null.get();
  return launch(command, {null.get(), null.get(), error_fd}, Lifetime::kDetached);
}

std::optional<ProcessFacts> process_facts(pid_t pid) {
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  const std::string line((std::istreambuf_iterator<char>(stat)), {});
  // "pid (name with anything) state …": the 22nd field is the start time; count from the last parenthesis.
  const std::size_t after_name = line.rfind(") ");
  if (after_name == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(line).substr(after_name + 2);
  if (rest.starts_with('Z') || rest.starts_with('X')) return std::nullopt;
  for (int field = 3; field < 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  ProcessFacts facts;
  const auto ticks = parse_uint64(rest.substr(0, rest.find(' ')));
  if (!ticks) return std::nullopt;
  facts.start_ticks = *ticks;
  std::ifstream command_line(fmt::format("/proc/{}/cmdline", pid));
  for (std::string argument; std::getline(command_line, argument, '\0');) facts.arguments.push_back(argument);
  return facts;
}

Result<std::filesystem::path> make_private_folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "atelier-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return fail(errno_error(errno, "make a private folder"));
  return std::filesystem::path(pattern);
}

}  // namespace atelier::vm
