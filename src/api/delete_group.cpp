#include "api/delete_group.h"

#include <fmt/format.h>

#include <functional>
#include <utility>
#include <vector>

#include "api/disk_rows.h"
#include "api/uploads.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "db/database.h"
#include "gallery/definition.h"
#include "gallery/delete_version.h"
#include "labs/delete_lab.h"
#include "ops/runner.h"
#include "ops/submit.h"

namespace atelier::api {
namespace delete_group {
namespace {

using EraseOne = std::function<Status(const db::Resource&)>;

// Every operation on something in the group that is not over.
Result<std::vector<ops::Operation>> unfinished_in(db::Transaction& transaction, const std::string& group_id) {
  ops::Query query;
  query.target_prefix = group_id;
  query.unfinished_only = true;
  query.limit = 1000;
  return ops::list(transaction, query);
}

// Erases all resources of one type below the group; again and again the first page, because each round shortens it.
Status erase_all(const Context& context, TaskContext& task, const std::string& group_id, std::string_view type,
                 const EraseOne& erase_one) {
  db::ResourceQuery query;
  query.type = type;
  query.scope_id = group_id;
  query.limit = 100;
  for (;;) {
    const std::vector<db::Resource> page = TRY(context.parts.database.read(
        [&](db::Transaction& transaction) { return db::list_resources(transaction, query); }));
    if (page.empty()) return {};
    for (const db::Resource& resource : page) {
      TRY(task.check());
      TRY_DURING(erase_one(resource), fmt::format("delete {} '{}'", resource.type, resource.name));
    }
  }
}

Status erase_row(const Context& context, const db::Resource& resource) {
  return context.parts.database.write(
      [&](db::Transaction& transaction) { return db::erase_resource(transaction, resource.id); });
}

Status erase_contents(const Context& context, TaskContext& task, const std::string& group_id) {
  const EraseOne row_only = [&](const db::Resource& resource) { return erase_row(context, resource); };
  TRY(erase_all(context, task, group_id, catalog::kLabType, [&](const db::Resource& lab) -> Status {
    if (context.labs == nullptr) return erase_row(context, lab);
    return labs::delete_lab::erase(lab.id, *context.labs, task);
  }));
  TRY(erase_all(context, task, group_id, catalog::kLabPlanImageType, row_only));
  TRY(erase_all(context, task, group_id, catalog::kLabPlanType, row_only));
  TRY(erase_all(context, task, group_id, catalog::kVersionType, [&](const db::Resource& version) {
    return gallery::delete_version::erase(version.id, context.parts);
  }));
  TRY(erase_all(context, task, group_id, catalog::kDefinitionType, row_only));
  TRY(erase_all(context, task, group_id, catalog::kGalleryType, row_only));
  const EraseOne disk_and_file = [&](const db::Resource& disk) -> Status {
    TRY(remove_upload_file(context, disk));
    return context.parts.database.write([&](db::Transaction& transaction) { return erase_disk(transaction, disk); });
  };
  TRY(erase_all(context, task, group_id, catalog::kDiskType, disk_and_file));
  return erase_all(context, task, group_id, "", row_only);
}

}  // namespace

Result<std::optional<Accepted>> begin(db::Transaction& transaction, std::string_view group_id,
                                      const std::string& principal) {
  std::optional<db::Resource> group = TRY(db::find_resource(transaction, group_id));
  if (!group) return std::nullopt;
  for (const ops::Operation& operation : TRY(unfinished_in(transaction, group->id))) {
    if (operation.kind != kKind) TRY(ops::request_cancel(transaction, operation.id));
  }
  std::string operation_id =
      TRY(ops::submit(transaction, {.kind = std::string(kKind),
                                    .subscription_id = group->subscription_id,
                                    .location = group->location,
                                    .target_id = group->id,
                                    .principal = principal,
                                    .input = {{"resourceId", group->id}},
                                    .exclusive_key = fmt::format("delete:{}", to_lower(group->id))}));
  group->provisioning_state = "Deleting";
  TRY(db::update_resource(transaction, *group));
  return Accepted{.location = group->location, .operation_id = std::move(operation_id)};
}

Result<json::object> run(const ops::Operation& operation, const Context& context, TaskContext& task) {
  const std::string group_id = string_at(operation.input, "resourceId");
  const auto others = TRY(
      context.parts.database.read([&](db::Transaction& transaction) { return unfinished_in(transaction, group_id); }));
  for (const ops::Operation& other : others) {
    if (other.id == operation.id) continue;
    return fail(Code::kUnavailable, fmt::format("The operation {} in the group is still stopping.", other.id));
  }
  task.report({.phase = "Deleting"});
  TRY(erase_contents(context, task, group_id));
  TRY(context.parts.database.write(
      [&](db::Transaction& transaction) { return db::erase_resource(transaction, group_id); }));
  return json::object{{"resourceId", group_id}};
}

Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error&) {
  auto group = TRY(db::find_resource(transaction, string_at(operation.input, "resourceId")));
  if (!group) return {};
  group->provisioning_state = "Failed";
  return db::update_resource(transaction, *group);
}

}  // namespace delete_group

void add_journeys(ops::Runner& runner, const Context& context) {
  runner.handle(std::string(delete_group::kKind),
                {.run = [&context](const ops::Operation& operation,
                                   TaskContext& task) { return delete_group::run(operation, context, task); },
                 .on_failure = delete_group::on_failure});
}

}  // namespace atelier::api
