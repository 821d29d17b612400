#include "labs/save_image.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/names.h"
#include "labs/lab_settings.h"
#include "labs/plan_images.h"
#include "labs/vm_operation.h"

namespace atelier::labs::save_image {
namespace {

constexpr std::string_view kNameField = "name";
constexpr std::string_view kMachineField = "labVirtualMachineId";

Result<db::Resource> require_plan(db::Transaction& transaction, std::string_view plan_id) {
  std::optional<db::Resource> plan = TRY(db::find_resource(transaction, plan_id));
  if (plan.has_value()) return std::move(*plan);
  return fail(Error(Code::kNotFound, "There is no such lab account.").with_reason("ResourceNotFound"));
}

// Of a machine that is on its way from one state to another, no moment is the right one.
Status check_power(vm::PowerState power, std::string_view lab_name) {
  std::string_view problem;
  switch (power) {
    case vm::PowerState::kStopped:
    case vm::PowerState::kCrashed:
    case vm::PowerState::kRunning:
      return {};
    case vm::PowerState::kShuttingDown:
      problem = "is shutting down. Wait until it is stopped, then export";
      break;
    case vm::PowerState::kPaused:
      problem = "waits for its disk. Export again once it goes on, or stop it first";
      break;
  }
  return fail(Error(Code::kFailedPrecondition, fmt::format("The template VM of lab '{}' {}.", lab_name, problem))
                  .with_reason("VirtualMachineNotReady")
                  .with_target(std::string(kMachineField)));
}

}  // namespace

Result<db::Resource> find_machine(db::Transaction& transaction, const Request& request) {
  TRY(require_plan(transaction, request.plan_id));
  if (request.image_name.empty()) {
    return fail(Error(Code::kInvalidArgument, "The field 'name' is required: the name of the image to be made.")
                    .with_target(std::string(kNameField)));
  }
  TRY(catalog::check_definition_name(request.image_name, kNameField));
  if (request.vm_id.empty()) {
    return fail(Error(Code::kInvalidArgument,
                      "The field 'labVirtualMachineId' is required: the id of the lab's template virtual machine.")
                    .with_target(std::string(kMachineField)));
  }
  TRY(catalog::ArmId::parse_as(request.vm_id, catalog::kVirtualMachineType, kMachineField));
  auto machine = require_vm(transaction, request.vm_id);
  if (!machine) return fail(Error(machine.error()).with_target(std::string(kMachineField)));
  return machine;
}

Result<Facts> check(db::Transaction& transaction, const Parts& parts, const Request& request, vm::PowerState power) {
  const db::Resource found = TRY(find_machine(transaction, request));
  db::Resource plan = TRY(require_plan(transaction, request.plan_id));
  db::Resource gallery = TRY(require_attached_gallery(transaction, plan));
  const LabMachine target = TRY(require_ready_vm(transaction, found.id));
  if (!equals_ignoring_case(plan_id_of(target.lab), plan.id)) {
    return fail(Error(Code::kFailedPrecondition,
                      fmt::format("The lab '{}' does not belong to the lab account '{}'. Export it through its own.",
                                  target.lab.name, plan.name))
                    .with_reason("LabOfOtherLabPlan")
                    .with_target(std::string(kMachineField)));
  }
  TRY(check_power(power, target.lab.name));
  VmRecord record = vm_record_of(target.machine);
  vm::OverlayDisk disk = TRY(disk_of(record, parts));
  return Facts{.plan = std::move(plan),
               .gallery = std::move(gallery),
               .lab = target.lab,
               .machine = target.machine,
               .record = std::move(record),
               .disk = std::move(disk),
               .os_type = string_at(target.lab.properties, "virtualMachineProfile.osType", "Linux")};
}

}  // namespace atelier::labs::save_image
