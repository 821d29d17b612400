// POST labs/{l}/virtualMachines/{v}/start.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "db/database.h"
#include "labs/parts.h"
#include "labs/vm_operation.h"
#include "ops/operation.h"

namespace atelier::labs::start_vm {

inline constexpr std::string_view kKind = "StartVirtualMachine";

// kNotFound for an unknown lab or machine; kFailedPrecondition while its lab is not Succeeded; kConflict while another
// operation on the machine is unfinished. A machine that runs already is started again with success.
Result<SubmittedVmOperation> begin(db::Transaction& transaction, std::string_view vm_id, std::string_view principal);
Result<json::object> run(const ops::Operation& operation, const Parts& parts, TaskContext& task);

}  // namespace atelier::labs::start_vm
