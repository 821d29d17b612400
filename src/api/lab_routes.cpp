#include "api/lab_routes.h"

#include <fmt/format.h>

#include "base/check.h"
#include "catalog/arm_id.h"
#include "http/message.h"
#include "labs/vm_record.h"

namespace atelier::api {

void add_lab_routes(ArmRoutes& routes) {
  add_lab_plan_routes(routes);
  add_lab_plan_image_routes(routes);
  add_save_image_routes(routes);
  add_lab_resource_routes(routes);
  add_virtual_machine_routes(routes);
  add_lab_sku_routes(routes);
}

const labs::Parts& lab_parts(const Call& call) {
  CHECK(call.context.labs != nullptr);
  return *call.context.labs;
}

db::Database& database_of(const Call& call) { return call.context.parts.database; }

std::string lab_plan_id(const Call& call) {
  return catalog::ArmId::of_resource(call.param("s"), call.param("rg"), catalog::kLabPlanType, call.param("plan"))
      .text();
}

std::string lab_id(const Call& call) {
  return catalog::ArmId::of_resource(call.param("s"), call.param("rg"), catalog::kLabType, call.param("lab")).text();
}

std::string virtual_machine_id(const Call& call) { return labs::vm_id_of(lab_id(call), call.param("vm")); }

Status check_same_location(const db::Resource& existing, std::string_view location) {
  if (existing.location == location) return {};
  return fail(Error(Code::kConflict, fmt::format("'{}' exists already in region '{}' and cannot move to '{}'.",
                                                 existing.name, existing.location, location))
                  .with_reason("InvalidResourceLocation")
                  .with_target("location"));
}

Result<json::object> patched_tags(const json::object& tags, const json::object& body) {
  const json::value* given = find(body, "tags");
  if (given == nullptr || given->is_array()) return tags;
  if (!given->is_object()) {
    return fail(Error(Code::kInvalidArgument, "The field 'tags' must be an object of texts.").with_target("tags"));
  }
  json::object merged = tags;
  merge_patch(merged, given->get_object());
  return tags_of({{"tags", std::move(merged)}});
}

Result<http::Response> list_in_scope(Call& call, std::string_view type) {
  TRY(check_subscription(call));
  db::ResourceQuery query;
  query.type = type;
  if (call.request.params.contains("rg")) {
    query.scope_id =
        TRY(database_of(call).read([&](db::Transaction& transaction) { return require_group(call, transaction); }))
    .id;
  } else {
    query.scope_id = "/subscriptions/" + call.param("s");
  }
  return answer_list(call, std::move(query));
}

}  // namespace atelier::api
