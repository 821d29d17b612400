// What the journeys do to a virtual machine, each safe to do again.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "db/resources.h"
#include "labs/parts.h"
#include "labs/vm_record.h"
#include "vm/seed.h"

namespace atelier::labs {

// Makes folder, overlay and (when `seed` is given) the NoCloud seed, and the VM known to the hypervisor, and powers it
// on. Copies nothing: the disk's bytes stay in the image. No host path is in its errors.
Status make_machine(const VmRecord& record, std::string_view name, const vm::Seed* seed, const Parts& parts,
                    TaskContext& task);

// Powers an existing VM on; makes it known again when the hypervisor has forgotten it.
Status power_on(const VmRecord& record, std::string_view name, const Parts& parts);

// Cuts the power, forgets the VM and removes its folder with the disk. Ok when there is nothing of it.
Status destroy_machine(std::string_view uuid, const Parts& parts);

// What the hypervisor says; Stopped when it does not know the VM.
Result<vm::VmStatus> status_of(const VmRecord& record, const Parts& parts);

}  // namespace atelier::labs
