// Which way QEMU runs guests on this machine.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::vm {

enum class Accelerator { kTcg, kKvm };

std::string_view to_string(Accelerator accelerator);  // "tcg", "kvm"

struct ProbeOptions {
  std::filesystem::path cache_file;  // remembers the answer for this kernel and QEMU; empty = ask each time
  std::filesystem::path kernel;      // Linux to boot; empty = the newest /boot/vmlinuz-*
  std::chrono::milliseconds time_limit{20000};
};

// kKvm only when a Linux kernel really boots under it within the time limit: a /dev/kvm that opens proves nothing (in
// some nested clouds guests hang). kTcg in all other cases, also when there is no kernel to try with.
Accelerator probe_accelerator(const ProbeOptions& options);

}  // namespace atelier::vm
