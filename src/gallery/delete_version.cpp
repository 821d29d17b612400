#include "gallery/delete_version.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/text.h"
#include "catalog/image_version.h"
#include "db/database.h"
#include "gallery/stored_images.h"
#include "ops/submit.h"

namespace atelier::gallery::delete_version {
namespace {

using catalog::ImageVersion;

// The operations that make the version or its replicas, finished or not.
std::set<std::string> operations_of(const db::Resource& version) {
  std::set<std::string> ids{string_at(version.internal, "operation_id")};
  for (const auto& [region, replica] : catalog::image_version_of(version).replicas) ids.insert(replica.operation_id);
  ids.erase("");
  return ids;
}

Status cancel_operations(db::Transaction& transaction, const db::Resource& version) {
  for (const std::string& id : operations_of(version)) {
    const auto operation = TRY(ops::find(transaction, id));
    if (operation && !ops::is_finished(operation->state)) TRY(ops::request_cancel(transaction, id));
  }
  return {};
}

Status check_idle(db::Transaction& transaction, std::string_view version_id) {
  const auto version = TRY(db::find_resource(transaction, version_id));
  if (!version) return {};
  for (const std::string& id : operations_of(*version)) {
    const auto operation = TRY(ops::find(transaction, id));
    if (operation && !ops::is_finished(operation->state)) {
      return fail(Code::kUnavailable, fmt::format("The operation {} on the version is still stopping.", id));
    }
  }
  return {};
}

}  // namespace

Result<std::optional<Accepted>> begin(db::Transaction& transaction, std::string_view version_id,
                                      const std::string& principal) {
  std::optional<db::Resource> version = TRY(db::find_resource(transaction, version_id));
  if (!version) return std::nullopt;
  std::string operation_id =
      TRY(ops::submit(transaction, {.kind = std::string(kKind),
                                    .subscription_id = version->subscription_id,
                                    .location = version->location,
                                    .target_id = version->id,
                                    .principal = principal,
                                    .input = {{kResourceIdField, version->id}},
                                    .exclusive_key = fmt::format("delete:{}", to_lower(version->id))}));
  TRY(cancel_operations(transaction, *version));
  version->provisioning_state = "Deleting";
  TRY(db::update_resource(transaction, *version));
  return Accepted{.resource = *std::move(version), .operation_id = std::move(operation_id)};
}

Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, TaskContext& task) {
  const std::string version_id = string_at(operation.input, kResourceIdField);
  TRY(parts.database.read([&](db::Transaction& transaction) { return check_idle(transaction, version_id); }));
  TRY(task.check());
  TRY(erase(version_id, parts));
  return json::object{{kResourceIdField, version_id}};
}

Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error) {
  auto version = TRY(db::find_resource(transaction, string_at(operation.input, kResourceIdField)));
  if (!version) return {};
  version->provisioning_state = "Failed";
  version->internal["error"] = json::object{{"code", to_string(error.code())}, {"message", error.message()}};
  return db::update_resource(transaction, *version);
}

Status erase(std::string_view version_id, const catalog::Parts& parts) {
  const auto version = TRY(
      parts.database.read([&](db::Transaction& transaction) { return db::find_resource(transaction, version_id); }));
  if (!version) return {};
  const ImageVersion model = catalog::image_version_of(*version);
  for (const auto& [region, replica] : model.replicas) {
    TRY(remove_unless_needed(parts, {.root = model.root, .region = region, .version_id = version->id}));
  }
  return parts.database.write(
      [&](db::Transaction& transaction) { return db::erase_resource(transaction, version_id); });
}

}  // namespace atelier::gallery::delete_version
