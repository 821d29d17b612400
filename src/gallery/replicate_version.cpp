#include "gallery/replicate_version.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/text.h"
#include "catalog/image_version.h"
#include "catalog/regions.h"
#include "db/database.h"
#include "gallery/creation.h"
#include "image/copy.h"
#include "image/image_record.h"
#include "ops/submit.h"

namespace atelier::gallery::replicate_version {
namespace {

using catalog::ImageVersion;
using catalog::Replica;
using catalog::ReplicaState;

constexpr std::string_view kRegionField = "region";

Result<db::Resource> find_version(db::Transaction& transaction, const ops::Operation& operation) {
  const std::string id = string_at(operation.input, kResourceIdField);
  std::optional<db::Resource> version = TRY(db::find_resource(transaction, id));
  const bool wanted = version && version->provisioning_state != "Deleting" &&
                      catalog::image_version_of(*version).replicas.contains(string_at(operation.input, kRegionField));
  if (!wanted) {
    return fail(Error(Code::kFailedPrecondition,
                      fmt::format("The image version {}, or its replica in this region, was deleted meanwhile.", id))
                    .with_reason("ResourceDeleted"));
  }
  return *std::move(version);
}

// A region that has the bytes: home first, because it had them first.
Result<const catalog::Region*> source_of(const db::Resource& version, const ImageVersion& model,
                                         const catalog::Region& target, const catalog::Regions& regions) {
  std::vector<std::string> names{version.location};
  for (const auto& [name, replica] : model.replicas) names.push_back(name);
  for (const std::string& name : names) {
    const auto replica = model.replicas.find(name);
    const catalog::Region* region = regions.find(name);
    if (replica == model.replicas.end() || replica->second.state != ReplicaState::kCompleted) continue;
    if (region != nullptr && region != &target && region->store != nullptr) return region;
  }
  return fail(Code::kFailedPrecondition, "No region has the image version's bytes.");
}

Status keep_completed(db::Transaction& transaction, const ops::Operation& operation, const catalog::Region& target,
                      const image::Digest& root, std::uint64_t bytes_sent) {
  db::Resource version = TRY(find_version(transaction, operation));
  // See finish_creation(): a deletion of an equal image may have come between.
  if (!TRY(image::find_image(*target.store, root))) {
    return fail(Code::kUnavailable, "The image's bytes were removed by a deletion at the same moment.");
  }
  ImageVersion model = catalog::image_version_of(version);
  Replica& replica = model.replicas[target.name];
  replica.state = ReplicaState::kCompleted;
  replica.progress = 100;
  replica.bytes_sent = bytes_sent;
  replica.details.clear();
  catalog::keep_image_version(version, model);
  return db::update_resource(transaction, version);
}

}  // namespace

Result<std::string> begin(db::Transaction& transaction, db::Resource& version, const std::string& region,
                          const std::string& principal) {
  std::string operation_id =
      TRY(ops::submit(transaction, {.kind = std::string(kKind),
                                    .subscription_id = version.subscription_id,
                                    .location = region,
                                    .target_id = version.id,
                                    .principal = principal,
                                    .input = {{kResourceIdField, version.id}, {kRegionField, region}},
                                    .exclusive_key = fmt::format("replicate:{}:{}", to_lower(version.id), region)}));
  ImageVersion model = catalog::image_version_of(version);
  Replica& replica = model.replicas[region];
  replica = Replica{};
  replica.state = ReplicaState::kReplicating;
  replica.operation_id = operation_id;
  catalog::keep_image_version(version, model);
  return operation_id;
}

Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, TaskContext& task) {
  const db::Resource version =
      TRY(parts.database.read([&](db::Transaction& transaction) { return find_version(transaction, operation); }));
  const ImageVersion model = catalog::image_version_of(version);
  const catalog::Region& target = *TRY(parts.regions.require(string_at(operation.input, kRegionField), "region"));
  const catalog::Region& source = *TRY(source_of(version, model, target, parts.regions));
  const image::Digest root = TRY(image::Digest::parse(model.root));
  const auto copied = image::copy_image(*source.store, *target.store, root, task);
  if (!copied) return fail(store_failure(copied.error(), target, fmt::format("replicate to {}", target.display_name)));
  TRY(parts.database.write([&](db::Transaction& transaction) {
    return keep_completed(transaction, operation, target, root, copied->bytes_sent);
  }));
  return json::object{{kResourceIdField, version.id},
                      {kRegionField, target.name},
                      {"bytesSent", copied->bytes_sent},
                      {"chunksSent", copied->chunks_sent}};
}

Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error) {
  std::optional<db::Resource> version =
      TRY(db::find_resource(transaction, string_at(operation.input, kResourceIdField)));
  if (!version) return {};
  ImageVersion model = catalog::image_version_of(*version);
  const auto replica = model.replicas.find(string_at(operation.input, kRegionField));
  if (replica == model.replicas.end() || replica->second.operation_id != operation.id) return {};
  replica->second.state = ReplicaState::kFailed;
  replica->second.details = error.message();
  catalog::keep_image_version(*version, model);
  return db::update_resource(transaction, *version);
}

}  // namespace atelier::gallery::replicate_version
