// Labs: made from an image of their lab account, changed, listed, deleted.
#include <optional>
#include <utility>

#include "api/lab_routes.h"
#include "catalog/arm_id.h"
#include "catalog/names.h"
#include "http/message.h"
#include "labs/create_lab.h"
#include "labs/delete_lab.h"
#include "labs/lab_settings.h"
#include "ops/runner.h"

namespace atelier::api {
namespace {

struct Written {
  db::Resource lab;
  int status = 200;
  std::string operation_id;  // "" when it is done already
};

bool may_change(const db::Resource& lab) {
  return lab.provisioning_state == "Succeeded" || lab.provisioning_state == "Updating";
}

Result<db::Resource> change_existing(const Call& call, db::Transaction& transaction, db::Resource lab,
                                     const json::object& given, labs::Change change) {
  lab.properties = TRY(labs::change_lab(lab, given, change));
  lab.changed_by = call.principal.name;
  TRY(db::update_resource(transaction, lab));
  return lab;
}

Result<http::Response> put_lab(Call& call) {
  TRY(check_subscription(call));
  TRY(catalog::check_resource_name(call.param("lab"), "labName"));
  const json::object body = TRY(body_object(call));
  const std::string location = TRY(location_of(call, body));
  const json::object given = TRY(properties_of(body));
  const json::object tags = TRY(tags_of(body));
  auto outcome = database_of(call).write([&](db::Transaction& transaction) -> Result<Written> {
    TRY(require_group(call, transaction));
    std::optional<db::Resource> old = TRY(db::find_resource(transaction, lab_id(call)));
    if (old.has_value()) TRY(check_same_location(*old, location));
    if (old.has_value() && may_change(*old)) {
      old->tags = tags;
      Written changed;
      changed.lab = TRY(change_existing(call, transaction, std::move(*old), given, labs::Change::kReplace));
      return changed;
    }
    labs::create_lab::Request request{.lab = new_resource(call, lab_id(call), location), .given = given};
    request.lab.tags = tags;
    request.lab.changed_by = call.principal.name;
    labs::create_lab::Accepted accepted =
        TRY(labs::create_lab::begin(transaction, lab_parts(call), std::move(request)));
    return Written{.lab = std::move(accepted.lab),
                   .status = old.has_value() ? 200 : 201,
                   .operation_id = std::move(accepted.operation_id)};
  });
  const Written written = TRY(std::move(outcome));
  if (written.operation_id.empty()) return answer_resource(written.status, written.lab);
  call.context.parts.runner.wake();
  return answer_accepted_resource(written.status, written.lab, call,
                                  {.provider = kLabServices, .location = written.lab.location}, written.operation_id);
}

Result<http::Response> patch_lab(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const json::object given = TRY(properties_of(body));
  auto outcome = database_of(call).write([&](db::Transaction& transaction) -> Result<db::Resource> {
    db::Resource old = TRY(require_resource(transaction, lab_id(call)));
    if (!may_change(old)) {
      return fail(Error(Code::kConflict, "The lab is " + old.provisioning_state +
                                             ". Wait until it is Succeeded, or "
                                             "delete it and make it again."));
    }
    old.tags = TRY(patched_tags(old.tags, body));
    return change_existing(call, transaction, std::move(old), given, labs::Change::kMerge);
  });
  const db::Resource lab = TRY(std::move(outcome));
  return answer_resource(200, lab);
}

Result<http::Response> get_lab(Call& call) {
  TRY(check_subscription(call));
  auto outcome =
      database_of(call).read([&](db::Transaction& transaction) { return require_resource(transaction, lab_id(call)); });
  return answer_resource(200, TRY(std::move(outcome)));
}

Result<http::Response> delete_lab(Call& call) {
  TRY(check_subscription(call));
  auto outcome = database_of(call).write([&](db::Transaction& transaction) {
    return labs::delete_lab::begin(transaction, lab_id(call), call.principal.name);
  });
  const auto accepted = TRY(std::move(outcome));
  if (!accepted.has_value()) return answer_empty(204);
  call.context.parts.runner.wake();
  return answer_accepted(call, {.provider = kLabServices, .location = accepted->location}, accepted->operation_id);
}

}  // namespace

void add_lab_resource_routes(ArmRoutes& routes) {
  const auto list = [](Call& call) { return list_in_scope(call, catalog::kLabType); };
  routes.add("GET", "{subscription}/providers/Microsoft.LabServices/labs", list);
  routes.add("GET", "{group}/Microsoft.LabServices/labs", list);
  routes.add("GET", "{group}/Microsoft.LabServices/labs/{lab}", get_lab);
  routes.add("PUT", "{group}/Microsoft.LabServices/labs/{lab}", put_lab);
  routes.add("PATCH", "{group}/Microsoft.LabServices/labs/{lab}", patch_lab);
  routes.add("DELETE", "{group}/Microsoft.LabServices/labs/{lab}", delete_lab);
}

}  // namespace atelier::api
