#include "labs/vm_view.h"

#include <vector>

#include "labs/create_lab.h"
#include "labs/start_vm.h"
#include "labs/stop_vm.h"
#include "labs/vm_record.h"
#include "ops/submit.h"

namespace atelier::labs {

Result<std::string> unfinished_kind(db::Transaction& transaction, const db::Resource& machine) {
  const std::vector<ops::Operation> running = TRY(ops::list(transaction, {.subscription_id = machine.subscription_id,
                                                                          .target_prefix = machine.parent_id,
                                                                          .state = {},
                                                                          .unfinished_only = true,
                                                                          .after = {},
                                                                          .limit = 1}));
  return running.empty() ? std::string() : running.front().kind;
}

std::string_view state_word(vm::PowerState power, std::string_view unfinished_kind) {
  switch (power) {
    case vm::PowerState::kRunning:
    case vm::PowerState::kPaused:  // by an I/O error, until its image server is back
      return unfinished_kind == stop_vm::kKind ? "Stopping" : "Running";
    case vm::PowerState::kShuttingDown:
      return "Stopping";
    case vm::PowerState::kStopped:
    case vm::PowerState::kCrashed:
      break;
  }
  return unfinished_kind == start_vm::kKind || unfinished_kind == create_lab::kKind ? "Starting" : "Stopped";
}

db::Resource describe_vm(const db::Resource& machine, const vm::VmStatus& status, std::string_view unfinished_kind) {
  db::Resource shown = machine;
  json::object connection{{"adminUsername", vm_record_of(machine).user_name}};
  if (!status.ssh_authority.empty()) connection["sshAuthority"] = status.ssh_authority;
  shown.properties["state"] = state_word(status.power, unfinished_kind);
  shown.properties["connectionProfile"] = std::move(connection);
  return shown;
}

}  // namespace atelier::labs
