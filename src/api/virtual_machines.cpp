// A lab's virtual machines: "0" is the template VM, "template" its alias.
#include <optional>
#include <utility>
#include <vector>

#include "api/lab_routes.h"
#include "catalog/arm_id.h"
#include "http/message.h"
#include "labs/machine.h"
#include "labs/start_vm.h"
#include "labs/stop_vm.h"
#include "labs/vm_operation.h"
#include "labs/vm_record.h"
#include "labs/vm_view.h"
#include "ops/runner.h"

namespace atelier::api {
namespace {

struct Machine {
  db::Resource row;
  std::string unfinished_kind;
};

// Outside of any transaction: it asks the hypervisor.
Result<json::object> to_answer(const Call& call, const Machine& machine) {
  const vm::VmStatus status = TRY(labs::status_of(labs::vm_record_of(machine.row), lab_parts(call)));
  return to_arm(labs::describe_vm(machine.row, status, machine.unfinished_kind));
}

Result<std::vector<Machine>> machines_of(Call& call, db::Transaction& transaction) {
  const db::Resource lab = TRY(require_parent(transaction, lab_id(call)));
  db::ResourceQuery query;
  query.type = catalog::kVirtualMachineType;
  query.parent_id = lab.id;
  std::vector<Machine> machines;
  for (db::Resource& row : TRY(db::list_resources(transaction, query))) {
    std::string kind = TRY(labs::unfinished_kind(transaction, row));
    machines.push_back({.row = std::move(row), .unfinished_kind = std::move(kind)});
  }
  return machines;
}

// One page: a lab has at most a few hundred machines.
Result<http::Response> list_machines(Call& call) {
  TRY(check_subscription(call));
  auto outcome = database_of(call).read([&](db::Transaction& transaction) { return machines_of(call, transaction); });
  const std::vector<Machine> machines = TRY(std::move(outcome));
  json::array value;
  for (const Machine& machine : machines) value.emplace_back(TRY(to_answer(call, machine)));
  return answer_json(200, json::object{{"value", std::move(value)}});
}

Result<http::Response> get_machine(Call& call) {
  TRY(check_subscription(call));
  auto outcome = database_of(call).read([&](db::Transaction& transaction) -> Result<Machine> {
    db::Resource row = TRY(labs::require_vm(transaction, virtual_machine_id(call)));
    std::string kind = TRY(labs::unfinished_kind(transaction, row));
    return Machine{.row = std::move(row), .unfinished_kind = std::move(kind)};
  });
  const Machine machine = TRY(std::move(outcome));
  return answer_json(200, TRY(to_answer(call, machine)));
}

using Begin = Result<labs::SubmittedVmOperation> (*)(db::Transaction&, std::string_view, std::string_view);

Handler action(Begin begin) {
  return [begin](Call& call) -> Result<http::Response> {
    TRY(check_subscription(call));
    auto outcome = database_of(call).write([&](db::Transaction& transaction) {
      return begin(transaction, virtual_machine_id(call), call.principal.name);
    });
    const labs::SubmittedVmOperation accepted = TRY(std::move(outcome));
    call.context.parts.runner.wake();
    return answer_accepted(call, {.provider = kLabServices, .location = accepted.location}, accepted.operation_id);
  };
}

}  // namespace

void add_virtual_machine_routes(ArmRoutes& routes) {
  const std::string machines = "{group}/Microsoft.LabServices/labs/{lab}/virtualMachines";
  routes.add("GET", machines, list_machines);
  routes.add("GET", machines + "/{vm}", get_machine);
  routes.add("POST", machines + "/{vm}/start", action(labs::start_vm::begin));
  routes.add("POST", machines + "/{vm}/stop", action(labs::stop_vm::begin));
}

}  // namespace atelier::api
