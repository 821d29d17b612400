#include "gallery/remove_replica.h"

#include "catalog/image_version.h"
#include "db/database.h"
#include "gallery/creation.h"
#include "gallery/stored_images.h"
#include "ops/submit.h"

namespace atelier::gallery::remove_replica {
namespace {

constexpr std::string_view kRegionField = "region";
constexpr std::string_view kRootField = "root";
constexpr std::string_view kReplicationField = "replicationId";

}  // namespace

Result<std::string> begin(db::Transaction& transaction, db::Resource& version, const std::string& region,
                          const std::string& principal) {
  catalog::ImageVersion model = catalog::image_version_of(version);
  const std::string replication_id = model.replicas[region].operation_id;
  if (!replication_id.empty()) {
    const auto replication = TRY(ops::find(transaction, replication_id));
    if (replication && !ops::is_finished(replication->state)) TRY(ops::request_cancel(transaction, replication_id));
  }
  model.replicas.erase(region);
  catalog::keep_image_version(version, model);
  return ops::submit(transaction, {.kind = std::string(kKind),
                                   .subscription_id = version.subscription_id,
                                   .location = region,
                                   .target_id = version.id,
                                   .principal = principal,
                                   .input = {{kResourceIdField, version.id},
                                             {kRegionField, region},
                                             {kRootField, model.root},
                                             {kReplicationField, replication_id}},
                                   .exclusive_key = {}});
}

Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, TaskContext& task) {
  const auto still_needed = [&](db::Transaction& transaction) -> Result<bool> {
    const auto replication = TRY(ops::find(transaction, string_at(operation.input, kReplicationField)));
    if (replication && !ops::is_finished(replication->state)) {
      return fail(Code::kUnavailable, "The replication to the region is still stopping.");
    }
    // The region may have been added again meanwhile; then the bytes stay.
    const auto version = TRY(db::find_resource(transaction, string_at(operation.input, kResourceIdField)));
    return version && catalog::image_version_of(*version).replicas.contains(string_at(operation.input, kRegionField));
  };
  if (TRY(parts.database.read(still_needed))) return json::object{};
  TRY(task.check());
  TRY(remove_unless_needed(parts, {.root = string_at(operation.input, kRootField),
                                   .region = string_at(operation.input, kRegionField),
                                   .version_id = {}}));
  return json::object{{kResourceIdField, string_at(operation.input, kResourceIdField)}};
}

}  // namespace atelier::gallery::remove_replica
