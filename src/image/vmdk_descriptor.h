// The text inside a VMDK file that describes it, after VMware's "Virtual Disk Format 5.0".
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace atelier::image {

struct VmdkDescriptor {
  enum class Type { kMonolithicSparse, kStreamOptimized };
  Type type = Type::kMonolithicSparse;
  std::uint64_t extent_sectors = 0;
};

// Takes only lines it knows: one extent of type SPARSE, whose file name has no folder and is not used, and no parent.
// kInvalidArgument for all else. `text` ends before its first NUL.
Result<VmdkDescriptor> parse_vmdk_descriptor(std::string_view text);

}  // namespace atelier::image
