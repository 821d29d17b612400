// A virtual machine as the API answers it: its state is the hypervisor's word, not ours.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "db/database.h"
#include "db/resources.h"
#include "labs/parts.h"
#include "vm/hypervisor.h"

namespace atelier::labs {

// The kind of the unfinished operation on the machine, or on its lab; "" when there is none.
Result<std::string> unfinished_kind(db::Transaction& transaction, const db::Resource& machine);

// Azure's word, "Stopped", "Starting", "Running" or "Stopping": the hypervisor's state, and where it is not yet what an
// unfinished operation is about to make of it, the way there.
std::string_view state_word(vm::PowerState power, std::string_view unfinished_kind);

// The row with its properties filled in: state, vmType, connectionProfile.
db::Resource describe_vm(const db::Resource& machine, const vm::VmStatus& status, std::string_view unfinished_kind);

}  // namespace atelier::labs
