// POST labs/{l}/virtualMachines/{v}/stop: the guest is asked to power off; after Parts::shutdown_time its power is cut.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "db/database.h"
#include "labs/parts.h"
#include "labs/vm_operation.h"
#include "ops/operation.h"

namespace atelier::labs::stop_vm {

inline constexpr std::string_view kKind = "StopVirtualMachine";

// Errors as start_vm::begin().
Result<SubmittedVmOperation> begin(db::Transaction& transaction, std::string_view vm_id, std::string_view principal);
Result<json::object> run(const ops::Operation& operation, const Parts& parts, TaskContext& task);

}  // namespace atelier::labs::stop_vm
