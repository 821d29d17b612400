// What starting, stopping and exporting a virtual machine have in common.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "db/database.h"
#include "db/resources.h"

namespace atelier::labs {

struct LabMachine {
  db::Resource lab;
  db::Resource machine;
};

// A machine that may be worked on, and its lab. kNotFound (ResourceNotFound); kFailedPrecondition (reason
// "LabNotReady") while the lab is being made or deleted, or has failed.
Result<LabMachine> require_ready_vm(db::Transaction& transaction, std::string_view vm_id);

struct SubmittedVmOperation {
  std::string location;
  std::string operation_id;
};
// Queues an operation of `kind` on the machine, exclusive with all others on it.
Result<SubmittedVmOperation> submit_vm_operation(db::Transaction& transaction, const LabMachine& target,
                                                 std::string_view kind, std::string_view principal);

}  // namespace atelier::labs
