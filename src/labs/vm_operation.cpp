#include "labs/vm_operation.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "catalog/arm_id.h"
#include "labs/vm_record.h"
#include "ops/submit.h"

namespace atelier::labs {

Result<LabMachine> require_ready_vm(db::Transaction& transaction, std::string_view vm_id) {
  db::Resource machine = TRY(require_vm(transaction, vm_id));
  std::optional<db::Resource> lab = TRY(db::find_resource(transaction, machine.parent_id));
  if (!lab.has_value()) {
    return fail(Error(Code::kNotFound, "The lab of this virtual machine was deleted.").with_reason("ResourceNotFound"));
  }
  if (lab->provisioning_state != "Succeeded" && lab->provisioning_state != "Updating") {
    return fail(
        Error(Code::kFailedPrecondition,
              fmt::format("The lab '{}' is not ready: its state is {}. Wait until it is Succeeded, or delete it "
                          "and make it again.",
                          lab->name, lab->provisioning_state))
            .with_reason("LabNotReady"));
  }
  return LabMachine{.lab = std::move(*lab), .machine = std::move(machine)};
}

Result<SubmittedVmOperation> submit_vm_operation(db::Transaction& transaction, const LabMachine& target,
                                                 std::string_view kind, std::string_view principal) {
  std::string id = TRY(ops::submit(transaction, {.kind = std::string(kind),
                                                 .subscription_id = target.lab.subscription_id,
                                                 .location = target.lab.location,
                                                 .target_id = target.machine.id,
                                                 .principal = std::string(principal),
                                                 .input = {},
                                                 .exclusive_key = catalog::vm_exclusive_key(target.machine.id)}));
  return SubmittedVmOperation{.location = target.lab.location, .operation_id = std::move(id)};
}

}  // namespace atelier::labs
