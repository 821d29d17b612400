#include "labs/journeys.h"

#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

#include "base/log.h"
#include "catalog/arm_id.h"
#include "catalog/regions.h"
#include "db/database.h"
#include "db/resources.h"
#include "labs/create_lab.h"
#include "labs/delete_lab.h"
#include "labs/start_vm.h"
#include "labs/stop_vm.h"
#include "labs/vm_record.h"
#include "ops/runner.h"
#include "vm/image_server.h"

namespace atelier::labs {
namespace {

using Run = Result<json::object> (*)(const ops::Operation&, const Parts&, TaskContext&);

ops::Journey journey(const Parts& parts, Run run) {
  return {
      .run = [&parts, run](const ops::Operation& operation, TaskContext& task) { return run(operation, parts, task); },
      .on_failure = {}};
}

Status ensure_defined(const db::Resource& machine, const Parts& parts) {
  const VmRecord record = vm_record_of(machine);
  const Result<vm::VmStatus> known = parts.hypervisor.status(record.uuid);
  if (known) return {};
  if (known.error().code() != Code::kNotFound) return fail(known.error());
  const std::string lab_name = TRY(catalog::ArmId::parse(machine.parent_id))
  .name();
  return parts.hypervisor.define(TRY(spec_of(record, fmt::format("{} template", lab_name), parts)));
}

}  // namespace

void add_journeys(ops::Runner& runner, const Parts& parts) {
  ops::Journey create = journey(parts, create_lab::run);
  create.on_failure = create_lab::on_failure;
  runner.handle(std::string(create_lab::kKind), std::move(create));
  ops::Journey erase = journey(parts, delete_lab::run);
  erase.on_failure = delete_lab::on_failure;
  runner.handle(std::string(delete_lab::kKind), std::move(erase));
  runner.handle(std::string(start_vm::kKind), journey(parts, start_vm::run));
  runner.handle(std::string(stop_vm::kKind), journey(parts, stop_vm::run));
}

Status resume(const Parts& parts) {
  for (const catalog::Region& region : parts.common.regions.all()) {
    if (region.server == nullptr) continue;
    const Status running = region.server->ensure_running();
    if (!running) log::error("image server of {}: {}", region.name, running.error().message());
  }
  db::ResourceQuery query{
      .type = std::string(catalog::kVirtualMachineType), .scope_id = {}, .parent_id = {}, .after_id = {}};
  while (true) {
    const std::vector<db::Resource> machines = TRY(parts.common.database.read(
        [&](db::Transaction& transaction) { return db::list_resources(transaction, query); }));
    for (const db::Resource& machine : machines) {
      if (machine.provisioning_state != "Succeeded") continue;  // its operation sees to it
      const Status defined = ensure_defined(machine, parts);
      if (!defined) log::error("virtual machine {}: {}", machine.id, defined.error().message());
    }
    if (machines.size() < query.limit) return {};
    query.after_id = machines.back().id;
  }
}

}  // namespace atelier::labs
