#include "labs/start_vm.h"

#include <fmt/format.h>

#include "labs/machine.h"
#include "labs/vm_record.h"

namespace atelier::labs::start_vm {

Result<SubmittedVmOperation> begin(db::Transaction& transaction, std::string_view vm_id, std::string_view principal) {
  return submit_vm_operation(transaction, TRY(require_ready_vm(transaction, vm_id)), kKind, principal);
}

Result<json::object> run(const ops::Operation& operation, const Parts& parts, TaskContext& task) {
  const LabMachine target = TRY(parts.common.database.read(
      [&](db::Transaction& transaction) { return require_ready_vm(transaction, operation.target_id); }));
  TRY(task.check());
  task.report({.phase = "Starting"});
  TRY(power_on(vm_record_of(target.machine), fmt::format("{} template", target.lab.name), parts));
  return json::object{{"resourceId", target.machine.id}};
}

}  // namespace atelier::labs::start_vm
