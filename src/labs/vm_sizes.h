// The sizes of virtual machines that labs may have, by Azure's own names where Azure has such a size.
#pragma once

#include <span>
#include <string_view>

#include "base/error.h"

namespace atelier::labs {

struct VmSize {
  std::string_view name;  // as answered; asked for in any case
  std::string_view family;
  std::string_view size;  // Azure's middle part: "2_4GB"
  unsigned vcpus;
  unsigned memory_mib;
};

// All sizes, smallest first.
std::span<const VmSize> vm_sizes();

// The size of that name, in any case. Fails with kInvalidArgument, naming the sizes there are; `target` is the field.
Result<const VmSize*> require_vm_size(std::string_view name, std::string_view target);

}  // namespace atelier::labs
