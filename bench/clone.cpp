// From an image to a running VM's disk: milliseconds and bytes of vm::create_overlay, beside `qemu-img create` in the
// same run. Usage: clone [FOLDER]; the folder (by default the temporary one) says which disk is measured.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "vm/overlay.h"
#include "vm/process.h"

namespace {

using Clock = std::chrono::steady_clock;
using atelier::Status;
constexpr int kRounds = 15;
constexpr std::uint64_t kGiB = 1ULL << 30;

struct Measured {
  double best_ms = 0;
  double median_ms = 0;
  std::uint64_t bytes = 0;  // of the disk, taken by the file
};

std::uint64_t bytes_on_disk(const std::filesystem::path& path) {
  struct stat facts{};
  return ::stat(path.c_str(), &facts) == 0 ? static_cast<std::uint64_t>(facts.st_blocks) * 512 : 0;
}

Measured measure(const std::filesystem::path& path, const std::function<Status()>& make) {
  std::vector<double> times;
  Measured result;
  for (int round = 0; round < kRounds; ++round) {
    std::filesystem::remove(path);
    const auto begin = Clock::now();
    const Status made = make();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    if (!made) {
      fmt::print(stderr, "{}\n", made.error().message());
      std::exit(1);
    }
    result.bytes = bytes_on_disk(path);
  }
  std::ranges::sort(times);
  result.best_ms = times.front();
  result.median_ms = times[times.size() / 2];
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  std::string pattern = (std::filesystem::path(argc > 1 ? argv[1] : "/tmp") / "clone-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return 1;
  const std::filesystem::path folder = pattern;
  fmt::print("{:>8} {:>22} {:>10} {:>10} {:>10}\n", "disk", "maker", "best ms", "median ms", "KiB");
  for (const std::uint64_t disk_bytes : {kGiB, 40 * kGiB, 16384 * kGiB}) {
    const atelier::vm::OverlayDisk disk{
        .path = folder / "disk.qcow2",
        .backing = {.socket = "/run/images.sock", .export_name = std::string(64, 'a'), .disk_bytes = disk_bytes}};
    const auto print = [&](const char* maker, const Measured& measured) {
      fmt::print("{:>4} GiB {:>22} {:>10.2f} {:>10.2f} {:>10}\n", disk_bytes / kGiB, maker, measured.best_ms,
                 measured.median_ms, measured.bytes >> 10);
    };
    print("atelier, durable", measure(disk.path, [&] { return atelier::vm::create_overlay(disk); }));
    print("qemu-img, not synced", measure(disk.path, [&]() -> Status {
            const auto done =
                atelier::vm::run_ok({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b",
                                                   disk.backing.uri(), disk.path.string(), std::to_string(disk_bytes)},
                                     .confinement = {}});
            if (!done) return atelier::fail(done.error());
            return {};
          }));
  }
  std::filesystem::remove_all(folder);
  return 0;
}
