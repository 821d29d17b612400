// POST labPlans/{p}/saveImage: the export of a template VM to the attached gallery.
#include <utility>

#include "api/lab_routes.h"
#include "gallery/export_image.h"
#include "http/message.h"
#include "labs/machine.h"
#include "labs/save_image.h"
#include "labs/vm_record.h"
#include "ops/runner.h"

namespace atelier::api {
namespace {

Result<gallery::Accepted> begin_export(const Call& call, db::Transaction& transaction,
                                       const labs::save_image::Request& request, vm::PowerState power) {
  labs::save_image::Facts facts = TRY(labs::save_image::check(transaction, lab_parts(call), request, power));
  const gallery::export_image::Input input{.gallery = std::move(facts.gallery),
                                           .image_name = request.image_name,
                                           .location = facts.lab.location,
                                           .os_type = facts.os_type,
                                           .principal = call.principal.name,
                                           .vm_id = facts.machine.id,
                                           .vm_uuid = facts.record.uuid,
                                           .disk = std::move(facts.disk)};
  return gallery::export_image::begin(transaction, call.context.parts, input);
}

Result<http::Response> save_image(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  labs::save_image::Request request;
  request.plan_id = lab_plan_id(call);
  request.image_name = TRY(optional_string(body, "name"));
  request.vm_id = TRY(optional_string(body, "labVirtualMachineId"));
  db::Database& database = database_of(call);
  auto found =
      database.read([&](db::Transaction& transaction) { return labs::save_image::find_machine(transaction, request); });
  const db::Resource machine = TRY(std::move(found));
  // Asked before the transaction, which must not wait for a hypervisor. From then on the operation's exclusive key
  // keeps others from starting and stopping the machine; whether it runs is asked again when the export begins.
  const vm::VmStatus status = TRY(labs::status_of(labs::vm_record_of(machine), lab_parts(call)));
  auto begun = database.write(
      [&](db::Transaction& transaction) { return begin_export(call, transaction, request, status.power); });
  const gallery::Accepted accepted = TRY(std::move(begun));
  call.context.parts.runner.wake();
  return answer_accepted(call, {.provider = kLabServices, .location = accepted.resource.location},
                         accepted.operation_id);
}

}  // namespace

void add_save_image_routes(ArmRoutes& routes) {
  routes.add("POST", "{group}/Microsoft.LabServices/labPlans/{plan}/saveImage", save_image);
}

}  // namespace atelier::api
