// Resource groups: folders of everything else. Deleting one deletes what is in it, as an operation.
#include <fmt/format.h>

#include <optional>
#include <string>

#include "api/answers.h"
#include "api/delete_group.h"
#include "api/envelope.h"
#include "api/own_routes.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/names.h"
#include "db/database.h"
#include "http/message.h"
#include "ops/runner.h"

namespace atelier::api {
namespace {

struct Written {
  db::Resource group;
  int status = 200;
};

std::string group_id(const Call& call) {
  return catalog::ArmId::of_group(call.context.subscription_id, call.param("rg")).text();
}

Result<http::Response> put_group(Call& call) {
  TRY(check_subscription(call));
  TRY(catalog::check_resource_group_name(call.param("rg"), "resourceGroupName"));
  const json::object body = TRY(body_object(call));
  const std::string location = TRY(location_of(call, body));
  const json::object tags = TRY(tags_of(body));
  const auto write = [&](db::Transaction& transaction) -> Result<Written> {
    std::optional<db::Resource> group = TRY(db::find_resource(transaction, group_id(call)));
    if (!group) {
      Written written{.group = new_resource(call, group_id(call), location), .status = 201};
      written.group.tags = tags;
      TRY(db::insert_resource(transaction, written.group));
      return written;
    }
    if (group->provisioning_state == "Deleting") {
      return fail(Error(Code::kConflict,
                        fmt::format("The resource group '{}' is being deleted. Wait until it is gone.", group->name))
                      .with_reason("ResourceGroupBeingDeleted"));
    }
    if (group->location != location) {
      return fail(Error(Code::kConflict, fmt::format("The resource group '{}' exists already in region '{}'.",
                                                     group->name, group->location))
                      .with_reason("InvalidResourceGroupLocation")
                      .with_target("location"));
    }
    group->tags = tags;
    group->changed_by = call.principal.name;
    TRY(db::update_resource(transaction, *group));
    return Written{.group = *std::move(group)};
  };
  const Written written = TRY(call.context.parts.database.write(write));
  return answer_resource(written.status, written.group);
}

Result<http::Response> patch_group(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const auto write = [&](db::Transaction& transaction) -> Result<db::Resource> {
    db::Resource group = TRY(require_group(call, transaction));
    if (find(body, "tags") != nullptr) group.tags = TRY(tags_of(body));
    group.changed_by = call.principal.name;
    TRY(db::update_resource(transaction, group));
    return group;
  };
  const db::Resource group = TRY(call.context.parts.database.write(write));
  return answer_resource(200, group);
}

Result<http::Response> get_group(Call& call) {
  TRY(check_subscription(call));
  const db::Resource group = TRY(
      call.context.parts.database.read([&](db::Transaction& transaction) { return require_group(call, transaction); }));
  return answer_resource(200, group);
}

// 204 when there is one, 404 otherwise: that is how az asks whether a group exists.
Result<http::Response> head_group(Call& call) {
  const auto found = get_group(call);
  if (found) return answer_empty(204);
  if (found.error().code() == Code::kNotFound) return answer_empty(404);
  return fail(found.error());
}

Result<http::Response> list_groups(Call& call) {
  TRY(check_subscription(call));
  db::ResourceQuery query;
  query.type = catalog::kResourceGroupType;
  query.parent_id = "/subscriptions/" + call.context.subscription_id;
  return answer_list(call, std::move(query));
}

Result<http::Response> delete_group_now(Call& call) {
  TRY(check_subscription(call));
  const auto accepted = TRY(call.context.parts.database.write([&](db::Transaction& transaction) {
    return delete_group::begin(transaction, group_id(call), call.principal.name);
  }));
  if (!accepted) {
    return fail(Error(Code::kNotFound, fmt::format("The resource group '{}' could not be found.", call.param("rg")))
                    .with_reason("ResourceGroupNotFound"));
  }
  call.context.parts.runner.wake();
  return answer_accepted(call, {.provider = "Microsoft.Resources", .location = accepted->location},
                         accepted->operation_id);
}

}  // namespace

void add_resource_group_routes(ArmRoutes& routes) {
  routes.add("GET", "{subscription}/resourceGroups", list_groups);
  routes.add("GET", "{subscription}/resourceGroups/{rg}", get_group);
  routes.add("HEAD", "{subscription}/resourceGroups/{rg}", head_group);
  routes.add("PUT", "{subscription}/resourceGroups/{rg}", put_group);
  routes.add("PATCH", "{subscription}/resourceGroups/{rg}", patch_group);
  routes.add("DELETE", "{subscription}/resourceGroups/{rg}", delete_group_now);
}

}  // namespace atelier::api
