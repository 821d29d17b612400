#include "catalog/image_version.h"

#include <fmt/format.h>
#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/names.h"
#include "catalog/regions.h"

namespace atelier::catalog {
namespace {

ReplicaState replica_state_of(std::string_view word) {
  for (const ReplicaState state : {ReplicaState::kReplicating, ReplicaState::kCompleted, ReplicaState::kFailed}) {
    if (to_string(state) == word) return state;
  }
  return ReplicaState::kUnknown;
}

VersionNumber number_of(const db::Resource& version) {
  return VersionNumber::parse(version.name).value_or(VersionNumber{});
}

// The flag of the region wins over the version's own.
bool is_excluded_from_latest(const db::Resource& version, std::string_view region) {
  const std::string wanted = normal_region_name(region);
  if (const json::value* targets = find(version.properties, "publishingProfile.targetRegions");
      targets != nullptr && targets->is_array()) {
    for (const json::value& target : targets->get_array()) {
      if (!target.is_object() || normal_region_name(string_at(target.get_object(), "name")) != wanted) continue;
      for (const std::string_view flag : {"excludeFromLatest", "regionalExcludeFromLatest"}) {
        if (const json::value* value = find(target, flag); value != nullptr && value->is_bool()) {
          return value->get_bool();
        }
      }
    }
  }
  return bool_at(version.properties, "publishingProfile.excludeFromLatest");
}

std::unexpected<Error> not_usable(std::string message, std::string_view target = {}) {
  return fail(
      Error(Code::kNotFound, std::move(message)).with_reason("GalleryImageNotFound").with_target(std::string(target)));
}

}  // namespace

std::string_view to_string(ReplicaState state) {
  switch (state) {
    case ReplicaState::kUnknown:
      return "Unknown";
    case ReplicaState::kReplicating:
      return "Replicating";
    case ReplicaState::kCompleted:
      return "Completed";
    case ReplicaState::kFailed:
      return "Failed";
  }
  return "Unknown";
}

ImageVersion image_version_of(const db::Resource& version) {
  ImageVersion model;
  model.root = string_at(version.internal, "root");
  model.disk_bytes = uint_at(version.internal, "disk_bytes");
  const json::value* replicas = find(version.internal, "replicas");
  if (replicas == nullptr || !replicas->is_object()) return model;
  for (const auto& [region, value] : replicas->get_object()) {
    if (!value.is_object()) continue;
    const json::object& object = value.get_object();
    model.replicas[std::string(region)] = Replica{
        .state = replica_state_of(string_at(object, "state")),
        .progress = static_cast<int>(std::clamp<std::int64_t>(int_at(object, "progress"), 0, 100)),
        .bytes_sent = uint_at(object, "bytes_sent"),
        .details = string_at(object, "details"),
        .operation_id = string_at(object, "operation_id"),
    };
  }
  return model;
}

void keep_image_version(db::Resource& version, const ImageVersion& model) {
  json::object replicas;
  for (const auto& [region, replica] : model.replicas) {
    replicas[region] = json::object{{"state", to_string(replica.state)},
                                    {"progress", replica.progress},
                                    {"bytes_sent", replica.bytes_sent},
                                    {"details", replica.details},
                                    {"operation_id", replica.operation_id}};
  }
  version.internal["root"] = model.root;
  version.internal["disk_bytes"] = model.disk_bytes;
  version.internal["replicas"] = std::move(replicas);
}

bool is_usable_in(const db::Resource& version, std::string_view region) {
  // An update of a version (another region, a tag) does not take its finished replicas away.
  if (version.provisioning_state != "Succeeded" && version.provisioning_state != "Updating") return false;
  const ImageVersion model = image_version_of(version);
  const auto replica = model.replicas.find(normal_region_name(region));
  return !model.root.empty() && replica != model.replicas.end() && replica->second.state == ReplicaState::kCompleted;
}

Result<std::vector<db::Resource>> versions_of(db::Transaction& transaction, std::string_view definition_id) {
  std::vector<db::Resource> versions;
  db::ResourceQuery query;
  query.type = kVersionType;
  query.parent_id = definition_id;
  for (;;) {
    std::vector<db::Resource> page = TRY(db::list_resources(transaction, query));
    if (page.empty()) break;
    query.after_id = page.back().id;
    const bool last = page.size() < query.limit;
    std::ranges::move(page, std::back_inserter(versions));
    if (last) break;
  }
  std::ranges::sort(versions, [](const db::Resource& a, const db::Resource& b) { return number_of(a) > number_of(b); });
  return versions;
}

Result<db::Resource> newest_usable_version(db::Transaction& transaction, std::string_view definition_id,
                                           std::string_view region) {
  std::vector<db::Resource> versions = TRY(versions_of(transaction, definition_id));
  for (db::Resource& version : versions) {
    if (is_usable_in(version, region) && !is_excluded_from_latest(version, region)) return std::move(version);
  }
  return not_usable(
      fmt::format("The image {} has no usable version in region {}. Wait for its replication there, or choose another "
                  "image.",
                  definition_id, region));
}

Result<db::Resource> resolve_image(db::Transaction& transaction, std::string_view image_id, std::string_view region,
                                   std::string_view target) {
  const auto id = ArmId::parse(image_id);
  const std::string type = id ? id->type() : "";
  if (type != kDefinitionType && type != kVersionType) {
    return fail(
        Error(Code::kInvalidArgument,
              fmt::format("'{}' is not the id of a gallery image or of a version of one.", image_id.substr(0, 300)))
            .with_reason("LinkedInvalidPropertyId")
            .with_target(std::string(target)));
  }
  std::optional<db::Resource> found = TRY(db::find_resource(transaction, id->text()));
  if (!found) return not_usable(fmt::format("The image {} does not exist.", id->text()), target);
  if (type == kDefinitionType) {
    auto newest = newest_usable_version(transaction, found->id, region);
    if (!newest) return fail(Error(newest.error()).with_target(std::string(target)));
    return newest;
  }
  if (is_usable_in(*found, region)) return *std::move(found);
  return not_usable(fmt::format("The image version {} is not usable in region {}: it is {} and not replicated there.",
                                found->id, region, found->provisioning_state),
                    target);
}

std::string os_state_of(const db::Resource& definition) {
  return string_at(definition.properties, "osState", "Generalized");
}

std::string os_type_of(const db::Resource& definition) { return string_at(definition.properties, "osType", "Linux"); }

}  // namespace atelier::catalog
