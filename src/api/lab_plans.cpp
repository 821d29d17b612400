// Lab accounts, in Azure's newer words lab plans: settings, regions, and the one attached gallery.
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "api/lab_routes.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/names.h"
#include "http/message.h"
#include "labs/plan_settings.h"

namespace atelier::api {
namespace {

// A gallery may be attached from any resource group; it has to be there.
Status check_gallery(db::Transaction& transaction, const db::Resource& plan) {
  const std::string gallery_id = labs::attached_gallery_of(plan);
  if (gallery_id.empty() || TRY(db::find_resource(transaction, gallery_id)).has_value()) return {};
  return fail(
      Error(Code::kNotFound, fmt::format("There is no gallery '{}'. Create it first, then attach it.", gallery_id))
          .with_reason("ResourceNotFound")
          .with_target("properties.sharedGalleryId"));
}

struct Written {
  db::Resource plan;
  int status = 200;
};

Result<http::Response> put_plan(Call& call) {
  TRY(check_subscription(call));
  TRY(catalog::check_resource_name(call.param("plan"), "labPlanName"));
  const json::object body = TRY(body_object(call));
  const std::string location = TRY(location_of(call, body));
  const json::object given = TRY(properties_of(body));
  json::object properties = TRY(labs::read_plan(given, location, call.context.parts.regions));
  json::object tags = TRY(tags_of(body));
  auto outcome = database_of(call).write([&](db::Transaction& transaction) -> Result<Written> {
    TRY(require_group(call, transaction));
    std::optional<db::Resource> old = TRY(db::find_resource(transaction, lab_plan_id(call)));
    if (old.has_value()) TRY(check_same_location(*old, location));
    db::Resource plan = old.has_value() ? std::move(*old) : new_resource(call, lab_plan_id(call), location);
    const bool is_new = plan.revision == 0;
    plan.properties = std::move(properties);
    plan.tags = std::move(tags);
    plan.provisioning_state = "Succeeded";
    plan.changed_by = call.principal.name;
    TRY(check_gallery(transaction, plan));
    TRY(is_new ? db::insert_resource(transaction, plan) : db::update_resource(transaction, plan));
    return Written{.plan = std::move(plan), .status = is_new ? 201 : 200};
  });
  const Written written = TRY(std::move(outcome));
  return answer_resource(written.status, written.plan);
}

Result<http::Response> patch_plan(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const json::object given = TRY(properties_of(body));
  auto outcome = database_of(call).write([&](db::Transaction& transaction) -> Result<db::Resource> {
    db::Resource changed = TRY(require_resource(transaction, lab_plan_id(call)));
    json::object merged = changed.properties;
    merge_patch(merged, given);
    changed.properties = TRY(labs::read_plan(merged, changed.location, call.context.parts.regions));
    changed.tags = TRY(patched_tags(changed.tags, body));
    changed.changed_by = call.principal.name;
    if (given.contains("sharedGalleryId")) TRY(check_gallery(transaction, changed));
    TRY(db::update_resource(transaction, changed));
    return changed;
  });
  const db::Resource plan = TRY(std::move(outcome));
  return answer_resource(200, plan);
}

Result<http::Response> get_plan(Call& call) {
  TRY(check_subscription(call));
  auto outcome = database_of(call).read(
      [&](db::Transaction& transaction) { return require_resource(transaction, lab_plan_id(call)); });
  return answer_resource(200, TRY(std::move(outcome)));
}

// Labs stay when their plan goes; they can no longer be exported.
Result<http::Response> delete_plan(Call& call) {
  TRY(check_subscription(call));
  auto outcome = database_of(call).write([&](db::Transaction& transaction) -> Result<int> {
    const bool existed = TRY(db::find_resource(transaction, lab_plan_id(call)))
    .has_value();
    TRY(db::erase_resource(transaction, lab_plan_id(call)));
    return existed ? 200 : 204;
  });
  return answer_empty(TRY(std::move(outcome)));
}

}  // namespace

void add_lab_plan_routes(ArmRoutes& routes) {
  const auto list = [](Call& call) { return list_in_scope(call, catalog::kLabPlanType); };
  routes.add("GET", "{subscription}/providers/Microsoft.LabServices/labPlans", list);
  routes.add("GET", "{group}/Microsoft.LabServices/labPlans", list);
  routes.add("GET", "{group}/Microsoft.LabServices/labPlans/{plan}", get_plan);
  routes.add("PUT", "{group}/Microsoft.LabServices/labPlans/{plan}", put_plan);
  routes.add("PATCH", "{group}/Microsoft.LabServices/labPlans/{plan}", patch_plan);
  routes.add("DELETE", "{group}/Microsoft.LabServices/labPlans/{plan}", delete_plan);
}

}  // namespace atelier::api
