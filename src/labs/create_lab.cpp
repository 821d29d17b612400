#include "labs/create_lab.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "auth/passwords.h"
#include "base/log.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/image_version.h"
#include "labs/credentials.h"
#include "labs/lab_settings.h"
#include "labs/machine.h"
#include "labs/plan_images.h"
#include "labs/plan_settings.h"
#include "labs/vm_record.h"
#include "ops/submit.h"
#include "vm/seed.h"

namespace atelier::labs::create_lab {
namespace {

constexpr std::string_view kHash = "passwordHash";  // in the machine's internal, until its seed is made
constexpr std::string_view kFormer = "former";      // uuids of machines that earlier, failed attempts may have left

Result<db::Resource> require_plan(db::Transaction& transaction, const json::object& given) {
  constexpr std::string_view kField = "properties.labPlanId";
  std::string id = TRY(optional_string(given, "labPlanId"));
  if (id.empty()) {
    return fail(Error(Code::kInvalidArgument,
                      "The field 'properties.labPlanId' is required: the lab account that the "
                      "lab belongs to.")
                    .with_target(std::string(kField)));
  }
  if (id.front() != '/') id.insert(0, "/");  // some clients leave it out
  const catalog::ArmId plan_id = TRY(catalog::ArmId::parse_as(id, catalog::kLabPlanType, kField));
  std::optional<db::Resource> plan = TRY(db::find_resource(transaction, plan_id.text()));
  if (plan.has_value()) return std::move(*plan);
  return fail(Error(Code::kNotFound, fmt::format("There is no lab account '{}' in resource group '{}'.", plan_id.name(),
                                                 plan_id.resource_group()))
                  .with_reason("ResourceNotFound")
                  .with_target(std::string(kField)));
}

Status check_region(const db::Resource& plan, std::string_view region) {
  const std::vector<std::string> allowed = allowed_regions_of(plan);
  if (std::ranges::find(allowed, region) != allowed.end()) return {};
  return fail(Error(Code::kInvalidArgument,
                    fmt::format("The lab account '{}' does not allow labs in region '{}'. Its regions are: {}.",
                                plan.name, region, fmt::join(allowed, ", ")))
                  .with_target("location"));
}

// First boot makes the user of a generalized image; a specialized image has its users already.
Status check_credentials(const NewLab& lab, vm::SeedDisk seed) {
  constexpr std::string_view kUser = "properties.virtualMachineProfile.adminUser.username";
  constexpr std::string_view kPassword = "properties.virtualMachineProfile.adminUser.password";
  if (seed == vm::SeedDisk::kNone) {
    if (lab.user_name.empty()) return {};
    return check_user_name(lab.user_name, UserAccount::kExisting, kUser);
  }
  if (lab.user_name.empty() || lab.password.empty()) {
    return fail(Error(Code::kInvalidArgument,
                      "The image is generalized, so the lab needs adminUser with a username and a password.")
                    .with_target(std::string(lab.user_name.empty() ? kUser : kPassword)));
  }
  TRY(check_user_name(lab.user_name, UserAccount::kNew, kUser));
  return check_password(lab.password, kPassword);
}

db::Resource new_machine_row(const db::Resource& lab) {
  db::Resource machine;
  machine.id = vm_id_of(lab.id, "0");
  machine.type = catalog::kVirtualMachineType;
  machine.name = "0";
  machine.parent_id = lab.id;
  machine.subscription_id = lab.subscription_id;
  machine.resource_group = lab.resource_group;
  machine.created_by = lab.created_by;
  machine.changed_by = lab.changed_by;
  return machine;
}

// Writes `row` in place of `old`, which may be absent.
Status put_row(db::Transaction& transaction, db::Resource& row, const std::optional<db::Resource>& old) {
  if (!old.has_value()) return db::insert_resource(transaction, row);
  row.id = old->id;
  row.name = old->name;
  row.revision = old->revision;
  row.created_at = old->created_at;
  row.created_by = old->created_by;
  return db::update_resource(transaction, row);
}

Status put_machine(db::Transaction& transaction, const db::Resource& lab, const VmRecord& record,
                   const std::string& password_hash) {
  db::Resource machine = new_machine_row(lab);
  const std::optional<db::Resource> old = TRY(db::find_resource(transaction, machine.id));
  machine.properties = {{"vmType", "Template"}};
  machine.provisioning_state = "Creating";
  keep_vm_record(machine, record);
  if (!password_hash.empty()) machine.internal[kHash] = password_hash;
  if (old.has_value()) {
    const json::value* kept = find(old->internal, kFormer);
    json::array former = kept != nullptr && kept->is_array() ? kept->get_array() : json::array();
    former.emplace_back(vm_record_of(*old).uuid);
    machine.internal[kFormer] = std::move(former);
  }
  return put_row(transaction, machine, old);
}

Status check_can_be_made(const std::optional<db::Resource>& old) {
  if (!old.has_value() || old->provisioning_state == "Failed" || old->provisioning_state == "Creating") return {};
  return fail(Error(Code::kConflict,
                    fmt::format("The lab '{}' exists already and is {}.", old->name, old->provisioning_state)));
}

struct Rows {
  db::Resource lab;
  db::Resource machine;
};
Result<Rows> load(db::Transaction& transaction, std::string_view lab_id) {
  std::optional<db::Resource> lab = TRY(db::find_resource(transaction, lab_id));
  db::Resource machine = TRY(require_vm(transaction, vm_id_of(lab_id, "0")));
  if (!lab.has_value()) return fail(Code::kNotFound, "The lab was deleted.");
  return Rows{.lab = std::move(*lab), .machine = std::move(machine)};
}

Status destroy_former(const db::Resource& machine, const Parts& parts) {
  const json::value* former = find(machine.internal, kFormer);
  if (former == nullptr || !former->is_array()) return {};
  for (const json::value& uuid : former->get_array()) TRY(destroy_machine(uuid.as_string(), parts));
  return {};
}

Status make(const Rows& rows, const VmRecord& record, const Parts& parts, TaskContext& task) {
  TRY(destroy_former(rows.machine, parts));
  const std::string name = fmt::format("{} template", rows.lab.name);
  if (record.seed == vm::SeedDisk::kNone) return make_machine(record, name, nullptr, parts, task);
  const vm::Seed seed{.instance_id = record.uuid,
                      .host_name = vm::host_name_from(rows.lab.name),
                      .user_name = record.user_name,
                      .password_hash = string_at(rows.machine.internal, kHash),
                      .ssh_authorized_keys = {}};
  return make_machine(record, name, &seed, parts, task);
}

Status mark(db::Transaction& transaction, std::string_view lab_id, std::string_view state) {
  Rows rows = TRY(load(transaction, lab_id));
  rows.lab.provisioning_state = state;
  rows.machine.provisioning_state = state;
  if (state == "Succeeded") {
    rows.machine.internal.erase(kHash);
    rows.machine.internal.erase(kFormer);
  }
  TRY(db::update_resource(transaction, rows.lab));
  return db::update_resource(transaction, rows.machine);
}

}  // namespace

Result<Accepted> begin(db::Transaction& transaction, const Parts& parts, Request request) {
  const std::optional<db::Resource> old = TRY(db::find_resource(transaction, request.lab.id));
  TRY(check_can_be_made(old));
  const db::Resource plan = TRY(require_plan(transaction, request.given));
  NewLab wanted = TRY(read_new_lab(request.given, request.lab.name, plan.properties));
  db::Resource lab = std::move(request.lab);
  TRY(check_region(plan, lab.location));
  const ChosenImage image = TRY(choose_image(transaction, plan, wanted.image, lab.location, parts.images_by_default));
  const catalog::ImageVersion bytes = catalog::image_version_of(image.version);

  const bool specialized = equals_ignoring_case(catalog::os_state_of(image.definition), "Specialized");
  const VmRecord record{.uuid = new_uuid(),
                        .region = lab.location,
                        .root = bytes.root,
                        .disk_bytes = bytes.disk_bytes,
                        .size = std::string(wanted.size->name),
                        .user_name = wanted.user_name,
                        .seed = specialized ? vm::SeedDisk::kNone : vm::SeedDisk::kAttached};
  TRY(check_credentials(wanted, record.seed));
  const std::string hash = specialized ? "" : TRY(auth::guest_password_hash(wanted.password));

  lab.properties = std::move(wanted.properties);
  lab.properties["labPlanId"] = plan.id;
  set_at(lab.properties, "virtualMachineProfile.osType", json::value(catalog::os_type_of(image.definition)));
  set_at(lab.properties, "virtualMachineProfile.imageReference.exactVersion", json::value(image.version.name));
  lab.internal["imageVersionId"] = image.version.id;
  lab.provisioning_state = "Creating";
  TRY(put_row(transaction, lab, old));
  TRY(put_machine(transaction, lab, record, hash));
  std::string operation_id =
      TRY(ops::submit(transaction, {.kind = std::string(kKind),
                                    .subscription_id = lab.subscription_id,
                                    .location = lab.location,
                                    .target_id = lab.id,
                                    .principal = lab.changed_by,
                                    .input = {},
                                    .exclusive_key = catalog::vm_exclusive_key(vm_id_of(lab.id, "0"))}));
  return Accepted{.lab = std::move(lab), .operation_id = std::move(operation_id)};
}

Result<json::object> run(const ops::Operation& operation, const Parts& parts, TaskContext& task) {
  db::Database& database = parts.common.database;
  const Rows rows =
      TRY(database.read([&](db::Transaction& transaction) { return load(transaction, operation.target_id); }));
  json::object result{{"resourceId", rows.lab.id}};
  if (rows.lab.provisioning_state == "Succeeded") return result;  // killed between the commit and the operation's own
  task.report({.phase = "Preparing"});
  const VmRecord record = vm_record_of(rows.machine);
  const Status made = make(rows, record, parts, task);
  if (!made) {
    const Code code = made.error().code();
    if (code != Code::kCanceled && code != Code::kUnavailable) {
      const Status cleaned = destroy_machine(record.uuid, parts);
      if (!cleaned) log::warning("could not clean up after lab {}: {}", rows.lab.id, cleaned.error().message());
    }
    return fail(made.error());
  }
  TRY(database.write(
      [&](db::Transaction& transaction) { return mark(transaction, operation.target_id, "Succeeded"); }));
  return result;
}

Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error) {
  static_cast<void>(error);
  return mark(transaction, operation.target_id, "Failed");
}

}  // namespace atelier::labs::create_lab
