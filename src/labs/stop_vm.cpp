#include "labs/stop_vm.h"

#include "labs/vm_record.h"
#include "vm/hypervisor.h"

namespace atelier::labs::stop_vm {

Result<SubmittedVmOperation> begin(db::Transaction& transaction, std::string_view vm_id, std::string_view principal) {
  return submit_vm_operation(transaction, TRY(require_ready_vm(transaction, vm_id)), kKind, principal);
}

Result<json::object> run(const ops::Operation& operation, const Parts& parts, TaskContext& task) {
  const LabMachine target = TRY(parts.common.database.read(
      [&](db::Transaction& transaction) { return require_ready_vm(transaction, operation.target_id); }));
  TRY(task.check());
  task.report({.phase = "Stopping"});
  const Status stopped =
      parts.hypervisor.stop(vm_record_of(target.machine).uuid, {.graceful = parts.shutdown_time}, task);
  // A machine that the hypervisor has forgotten is as stopped as can be.
  if (!stopped && stopped.error().code() != Code::kNotFound) return fail(stopped.error());
  return json::object{{"resourceId", target.machine.id}};
}

}  // namespace atelier::labs::stop_vm
