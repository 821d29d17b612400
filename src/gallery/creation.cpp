#include "gallery/creation.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "catalog/image_version.h"
#include "catalog/regions.h"
#include "db/database.h"
#include "gallery/replicate_version.h"
#include "image/store.h"
#include "ops/runner.h"

namespace atelier::gallery {
namespace {

using catalog::ImageVersion;
using catalog::Replica;
using catalog::ReplicaState;

constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

std::vector<std::string> target_regions_of(const db::Resource& version) {
  std::vector<std::string> names;
  const json::value* targets = find(version.properties, "publishingProfile.targetRegions");
  if (targets == nullptr || !targets->is_array()) return names;
  for (const json::value& target : targets->get_array()) {
    if (target.is_object()) names.push_back(catalog::normal_region_name(string_at(target.get_object(), "name")));
  }
  return names;
}

// Ours, not Azure's: clients that do not know it pass over it.
constexpr std::string_view kConsistencyMode = "atelier.consistencyMode";

json::object result_of(const db::Resource& version, const ImageVersion& model) {
  json::object result{{kResourceIdField, version.id}, {"root", model.root}, {"diskBytes", model.disk_bytes}};
  const std::string consistency = string_at(version.properties, kConsistencyMode);
  if (!consistency.empty()) result["consistencyMode"] = consistency;
  return result;
}

// The version that the operation makes, if it may still be finished.
Result<db::Resource> version_being_made(db::Transaction& transaction, const ops::Operation& operation) {
  const std::string id = string_at(operation.input, kResourceIdField);
  std::optional<db::Resource> version = TRY(db::find_resource(transaction, id));
  if (!version || version->provisioning_state == "Deleting") {
    return fail(Error(Code::kFailedPrecondition, fmt::format("The image version {} was deleted meanwhile.", id))
                    .with_reason("ResourceDeleted"));
  }
  return *std::move(version);
}

}  // namespace

Result<Accepted> begin_creation(db::Transaction& transaction, db::Resource version, ops::NewOperation operation) {
  const std::optional<db::Resource> existing = TRY(db::find_resource(transaction, version.id));
  if (existing && existing->provisioning_state != "Failed") {
    return fail(Error(Code::kConflict, fmt::format("The image version {} is {}. Choose another version number.",
                                                   version.id, existing->provisioning_state))
                    .with_reason("Conflict"));
  }
  operation.input[kResourceIdField] = version.id;
  std::string operation_id = TRY(ops::submit(transaction, operation));

  ImageVersion model;
  for (const std::string& region : target_regions_of(version)) model.replicas[region] = Replica{};
  Replica& home = model.replicas[version.location];
  home.state = ReplicaState::kReplicating;
  home.operation_id = operation_id;
  version.internal = {};
  version.internal["operation_id"] = operation_id;
  catalog::keep_image_version(version, model);
  version.provisioning_state = "Creating";
  set_at(version.properties, "publishingProfile.publishedDate", json::value(to_rfc3339(now())));
  if (existing) {
    version.revision = existing->revision;
    TRY(db::update_resource(transaction, version));
  } else {
    TRY(db::insert_resource(transaction, version));
  }
  return Accepted{.resource = std::move(version), .operation_id = std::move(operation_id)};
}

Result<std::optional<json::object>> result_if_finished(const ops::Operation& operation, const catalog::Parts& parts,
                                                       const TaskContext& task) {
  const auto read = [&](db::Transaction& transaction) { return version_being_made(transaction, operation); };
  const db::Resource version = TRY(parts.database.read(read));
  if (!catalog::is_usable_in(version, version.location)) return std::nullopt;
  const ImageVersion model = catalog::image_version_of(version);
  Progress progress = operation.progress;
  progress.phase = "Committing";
  progress.bytes_done = progress.bytes_total = model.disk_bytes;
  task.report(progress);
  return result_of(version, model);
}

Result<json::object> finish_creation(const ops::Operation& operation, const catalog::Parts& parts,
                                     const image::ImageRecord& record, const Captured& captured) {
  const auto finish = [&](db::Transaction& transaction) -> Result<json::object> {
    db::Resource version = TRY(version_being_made(transaction, operation));
    const catalog::Region& home = *TRY(parts.regions.require(version.location, "location"));
    // Another version with the very same bytes may have been deleted between our capture and now. Deletions look at
    // the rows and remove the record inside a write transaction as well, so what we see here stays.
    if (!TRY(image::find_image(*home.store, record.root))) {
      return fail(Code::kUnavailable, "The image's bytes were removed by a deletion at the same moment.");
    }
    ImageVersion model = catalog::image_version_of(version);
    model.root = record.root.hex();
    model.disk_bytes = record.disk_bytes;
    Replica& home_replica = model.replicas[home.name];
    home_replica.state = ReplicaState::kCompleted;
    home_replica.progress = 100;
    version.provisioning_state = "Succeeded";
    version.internal.erase("error");
    catalog::keep_image_version(version, model);
    set_at(version.properties, "storageProfile.osDiskImage.sizeInGB",
           json::value((record.disk_bytes + kGib - 1) / kGib));
    if (captured.consistency) {
      set_at(version.properties, kConsistencyMode, json::value(vm::to_string(*captured.consistency)));
    }
    for (const std::string& region : target_regions_of(version)) {
      if (region == home.name) continue;
      TRY(replicate_version::begin(transaction, version, region, operation.principal));
    }
    TRY(db::update_resource(transaction, version));
    json::object result = result_of(version, model);
    result["bytesRead"] = captured.bytes_read;
    result["newBytes"] = record.new_bytes;
    return result;
  };
  json::object result = TRY(parts.database.write(finish));
  parts.runner.wake();
  return result;
}

Error store_failure(const Error& error, const catalog::Region& region, std::string_view doing) {
  if (error.code() != Code::kResourceExhausted) return error.during(doing);
  log::error("store of {}: {}", region.name, error.message());
  return {
      Code::kResourceExhausted,
      fmt::format("There is no space left in the image store of {}. Nothing was kept of this attempt. Ask the operator "
                  "for more space, then try again.",
                  region.display_name)};
}

Status fail_creation(db::Transaction& transaction, const ops::Operation& operation, const Error& error) {
  std::optional<db::Resource> version =
      TRY(db::find_resource(transaction, string_at(operation.input, kResourceIdField)));
  if (!version || version->provisioning_state != "Creating") return {};
  version->provisioning_state = "Failed";
  version->internal["error"] = json::object{{"code", to_string(error.code())}, {"message", error.message()}};
  ImageVersion model = catalog::image_version_of(*version);
  for (auto& [region, replica] : model.replicas) {
    replica.state = ReplicaState::kFailed;
    replica.details = region == version->location ? error.message() : "The version was not made.";
  }
  catalog::keep_image_version(*version, model);
  return db::update_resource(transaction, *version);
}

}  // namespace atelier::gallery
