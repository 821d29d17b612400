#include "labs/vm_sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/text.h"

namespace atelier::labs {
namespace {

// The tiny size is ours, for images of a few megabytes; the others are what Azure's portal calls small, medium, large.
constexpr std::array<VmSize, 4> kSizes = {{
    {"Atelier_Tiny_1_512MB", "Atelier_Tiny", "1_512MB", 1, 512},
    {"Classic_Fsv2_2_4GB_128_S_SSD", "Classic_Fsv2", "2_4GB", 2, 4096},
    {"Classic_Fsv2_4_8GB_128_S_SSD", "Classic_Fsv2", "4_8GB", 4, 8192},
    {"Classic_Fsv2_8_16GB_128_S_SSD", "Classic_Fsv2", "8_16GB", 8, 16384},
}};

}  // namespace

std::span<const VmSize> vm_sizes() { return kSizes; }

Result<const VmSize*> require_vm_size(std::string_view name, std::string_view target) {
  const auto found =
      std::ranges::find_if(kSizes, [&](const VmSize& size) { return equals_ignoring_case(size.name, name); });
  if (found != kSizes.end()) return &*found;
  std::string names;
  for (const VmSize& size : kSizes) names += fmt::format("{}{}", names.empty() ? "" : ", ", size.name);
  return fail(Error(Code::kInvalidArgument,
                    fmt::format("There is no virtual machine size '{}'. Use one of: {}.", name.substr(0, 80), names))
                  .with_target(std::string(target)));
}

}  // namespace atelier::labs
