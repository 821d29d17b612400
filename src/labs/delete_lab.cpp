#include "labs/delete_lab.h"

#include <utility>
#include <vector>

#include "catalog/arm_id.h"
#include "db/resources.h"
#include "labs/machine.h"
#include "labs/vm_record.h"
#include "ops/submit.h"

namespace atelier::labs::delete_lab {
namespace {

Result<std::vector<db::Resource>> machines_of(db::Transaction& transaction, std::string_view lab_id) {
  return db::list_resources(transaction, {.type = std::string(catalog::kVirtualMachineType),
                                          .scope_id = {},
                                          .parent_id = std::string(lab_id),
                                          .after_id = {}});
}

Status destroy(const db::Resource& machine, const Parts& parts) {
  TRY(destroy_machine(vm_record_of(machine).uuid, parts));
  const json::value* former = find(machine.internal, "former");
  if (former == nullptr || !former->is_array()) return {};
  for (const json::value& uuid : former->get_array()) TRY(destroy_machine(uuid.as_string(), parts));
  return {};
}

}  // namespace

Result<std::optional<Accepted>> begin(db::Transaction& transaction, std::string_view lab_id,
                                      std::string_view principal) {
  std::optional<db::Resource> lab = TRY(db::find_resource(transaction, lab_id));
  if (!lab.has_value()) return std::optional<Accepted>();
  lab->provisioning_state = "Deleting";
  lab->changed_by = principal;
  TRY(db::update_resource(transaction, *lab));
  std::string operation_id =
      TRY(ops::submit(transaction, {.kind = std::string(kKind),
                                    .subscription_id = lab->subscription_id,
                                    .location = lab->location,
                                    .target_id = lab->id,
                                    .principal = std::string(principal),
                                    .input = {},
                                    .exclusive_key = catalog::vm_exclusive_key(vm_id_of(lab->id, "0"))}));
  return Accepted{.location = lab->location, .operation_id = std::move(operation_id)};
}

Result<json::object> run(const ops::Operation& operation, const Parts& parts, TaskContext& task) {
  task.report({.phase = "Deleting"});
  TRY(erase(operation.target_id, parts, task));
  return json::object{{"resourceId", operation.target_id}};
}

Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error) {
  static_cast<void>(error);
  std::optional<db::Resource> lab = TRY(db::find_resource(transaction, operation.target_id));
  if (!lab.has_value()) return {};
  lab->provisioning_state = "Failed";
  return db::update_resource(transaction, *lab);
}

Status erase(std::string_view lab_id, const Parts& parts, TaskContext& task) {
  db::Database& database = parts.common.database;
  const std::vector<db::Resource> machines =
      TRY(database.read([&](db::Transaction& transaction) { return machines_of(transaction, lab_id); }));
  for (const db::Resource& machine : machines) {
    TRY(task.check());
    TRY(destroy(machine, parts));
  }
  // Rows last: as long as there is something on the host, there is a row that says so.
  return database.write([&](db::Transaction& transaction) -> Status {
    for (const db::Resource& machine : machines) TRY(db::erase_resource(transaction, machine.id));
    return db::erase_resource(transaction, lab_id);
  });
}

}  // namespace atelier::labs::delete_lab
