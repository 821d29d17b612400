#include "vm/accelerator.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#include "base/log.h"
#include "vm/process.h"

namespace atelier::vm {
namespace {

constexpr std::string_view kQemu = "qemu-system-x86_64";
// A kernel without a root file system gets to here only when its timers, interrupts and processes work.
constexpr std::string_view kBooted = "Unable to mount root fs";

bool kvm_opens() {
  const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  ::close(fd);
  return true;
}

std::optional<std::filesystem::path> newest_kernel() {
  std::optional<std::filesystem::path> newest;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/boot", error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("vmlinuz-") || ::access(entry.path().c_str(), R_OK) != 0) continue;
    if (!newest || name > newest->filename().string()) newest = entry.path();
  }
  return newest;
}

// What the answer depends on: another host, kernel, QEMU or test kernel asks again.
std::string circumstances(const std::optional<std::filesystem::path>& kernel) {
  utsname system{};
  ::uname(&system);
  const auto version = run({.arguments = {std::string(kQemu), "--version"}, .confinement = {}},
                           {.timeout = std::chrono::seconds(10), .output_bytes_max = 200});
  const std::string qemu = version ? version->output.substr(0, version->output.find('\n')) : "no qemu";
  return fmt::format("{} {} / {} / {} / kvm {}", system.nodename, system.release, qemu,
                     kernel ? kernel->filename().string() : "no kernel", kvm_opens() ? "opens" : "absent");
}

std::optional<Accelerator> read_cache(const std::filesystem::path& path, const std::string& expected) {
  std::ifstream file(path);
  std::string answer;
  std::string circumstance;
  if (!std::getline(file, answer) || !std::getline(file, circumstance) || circumstance != expected) return std::nullopt;
  if (answer == "kvm") return Accelerator::kKvm;
  if (answer == "tcg") return Accelerator::kTcg;
  return std::nullopt;
}

void write_cache(const std::filesystem::path& path, Accelerator answer, const std::string& circumstance) {
  const std::filesystem::path part = path.string() + ".part";
  std::ofstream file(part);
  file << to_string(answer) << '\n' << circumstance << '\n';
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(part, path, error);
  if (!file || error) log::warning("the accelerator's cache cannot be written: it is asked for again next time");
}

bool boots_under_kvm(const std::filesystem::path& kernel, std::chrono::milliseconds time_limit) {
  const auto folder = make_private_folder();
  if (!folder) return false;
  const auto console = *folder / "console";
  bool booted = false;
  {
    auto guest = Child::start({.arguments = {std::string(kQemu),
                                             "-nodefaults",
                                             "-no-user-config",
                                             "-display",
                                             "none",
                                             "-accel",
                                             "kvm",
                                             "-cpu",
                                             "host",
                                             "-machine",
                                             "pc",
                                             "-m",
                                             "256",
                                             "-no-reboot",
                                             "-serial",
                                             "file:" + console.string(),
                                             "-kernel",
                                             kernel.string(),
                                             "-append",
                                             "console=ttyS0 panic=-1"},
                               .confinement = {}});
    const auto deadline = std::chrono::steady_clock::now() + time_limit;
    while (guest && !booted && std::chrono::steady_clock::now() < deadline) {
      const bool ended = guest->exit_code().has_value();
      std::ifstream file(console);
      const std::string text((std::istreambuf_iterator<char>(file)), {});
      booted = text.find(kBooted) != std::string::npos;
      if (ended) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(*folder, ignored);
  return booted;
}

}  // namespace

std::string_view to_string(Accelerator accelerator) { return accelerator == Accelerator::kKvm ? "kvm" : "tcg"; }

Accelerator probe_accelerator(const ProbeOptions& options) {
  if (!kvm_opens()) return Accelerator::kTcg;
  const auto kernel = options.kernel.empty() ? newest_kernel() : std::optional(options.kernel);
  const std::string circumstance = circumstances(kernel);
  if (!options.cache_file.empty()) {
    if (const auto cached = read_cache(options.cache_file, circumstance)) return *cached;
  }
  if (kernel) log::info("trying whether guests boot under KVM; this takes at most {} ms", options.time_limit.count());
  const Accelerator answer =
      kernel && boots_under_kvm(*kernel, options.time_limit) ? Accelerator::kKvm : Accelerator::kTcg;
  if (answer == Accelerator::kTcg) log::warning("/dev/kvm opens but no guest boots under it: guests are emulated");
  if (!options.cache_file.empty()) write_cache(options.cache_file, answer, circumstance);
  return answer;
}

}  // namespace atelier::vm
