#include "api/version_body.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/fields.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/regions.h"

namespace atelier::api {
namespace {

constexpr std::int64_t kReplicasMax = 100;
constexpr std::string_view kTargets = "properties.publishingProfile.targetRegions";

struct Target {
  std::string region;
  json::object stored;
};

Result<std::int64_t> replica_count(const json::object& given, std::string_view name, std::int64_t fallback,
                                   const std::string& target) {
  const auto count = optional_int(given, name, fallback);
  if (!count || *count < 1 || *count > kReplicasMax) {
    return bad_field(target, fmt::format("'{}' must be a number from 1 to {}.", name, kReplicasMax));
  }
  return *count;
}

Result<std::string> storage_account_type(const json::object& given, const std::string& target) {
  const auto type =
      optional_word(given, "storageAccountType", {"Standard_LRS", "Premium_LRS", "Standard_ZRS"}, "Standard_LRS");
  if (!type) return fail(Error(type.error()).with_target(target));
  if (*type == "Standard_ZRS") return bad_field(target, "Standard_ZRS needs zones, and no region here has any.");
  return *type;
}

Result<Target> read_target(const Call& call, const json::value& value, std::size_t at, std::int64_t default_count) {
  const std::string path = fmt::format("{}[{}]", kTargets, at);
  if (!value.is_object()) return bad_field(path, "Each target region must be an object with a 'name'.");
  const json::object& given = value.get_object();
  const std::string name = string_at(given, "name");
  if (name.empty()) return bad_field(path + ".name", "The target region needs a 'name'.");
  const catalog::Region* region = call.context.parts.regions.find(name);
  if (region == nullptr) {
    const auto known = call.context.parts.regions.require(name, path + ".name");
    return bad_field(path + ".name", known.error().message());
  }
  Target target{.region = region->name, .stored = {{"name", region->name}}};
  target.stored["regionalReplicaCount"] =
      TRY(replica_count(given, "regionalReplicaCount", default_count, path + ".regionalReplicaCount"));
  target.stored["storageAccountType"] = TRY(storage_account_type(given, path + ".storageAccountType"));
  for (const char* flag : {"excludeFromLatest", "regionalExcludeFromLatest"}) {
    const auto excluded = optional_bool(given, flag, false);
    if (!excluded) return bad_field(fmt::format("{}.{}", path, flag), excluded.error().message());
    if (find(given, flag) != nullptr) target.stored["excludeFromLatest"] = *excluded;
  }
  return target;
}

Result<std::vector<Target>> read_targets(const Call& call, const json::object& profile, const std::string& location,
                                         std::int64_t default_count) {
  const json::value* given = find(profile, "targetRegions");
  json::array only_home{json::object{{"name", location}}};
  if (given != nullptr && !given->is_array()) return bad_field(kTargets, "'targetRegions' must be a list.");
  const json::array& list = given == nullptr || given->get_array().empty() ? only_home : given->get_array();
  if (list.size() > call.context.parts.regions.all().size()) {
    return bad_field(kTargets, "There are more target regions than regions; each may be named once.");
  }
  std::vector<Target> targets;
  for (std::size_t i = 0; i < list.size(); ++i) {
    Target target = TRY(read_target(call, list[i], i, default_count));
    if (std::ranges::any_of(targets, [&](const Target& other) { return other.region == target.region; })) {
      return bad_field(fmt::format("{}[{}].name", kTargets, i),
                       fmt::format("The region '{}' is named twice.", target.region));
    }
    targets.push_back(std::move(target));
  }
  if (std::ranges::none_of(targets, [&](const Target& target) { return target.region == location; })) {
    return bad_field(kTargets,
                     fmt::format("The version's own location '{}' must be among its target regions.", location));
  }
  return targets;
}

Status read_publishing(const Call& call, const json::object& properties, const std::string& location,
                       const db::Resource* existing, VersionBody& body) {
  json::object profile;
  if (existing != nullptr) {
    if (const json::value* old = find(existing->properties, "publishingProfile"); old != nullptr && old->is_object()) {
      profile = old->get_object();
    }
  }
  if (const json::value* given = find(properties, "publishingProfile")) {
    if (!given->is_object()) return bad_field("properties.publishingProfile", "'publishingProfile' must be an object.");
    if (existing != nullptr) {
      TRY(check_unchanged(existing->properties, properties, "publishingProfile.replicationMode",
                          "galleryImageVersion"));
    }
    const std::string end_of_life = string_at(profile, "endOfLifeDate");
    json::object dates{{"publishingProfile", {{"endOfLifeDate", end_of_life}}}};
    TRY(copy_future_date(properties, dates, "publishingProfile.endOfLifeDate"));
    for (const auto& [name, value] : given->get_object()) {
      if (name != "publishedDate" && !value.is_null()) profile[name] = value;
    }
  }
  const std::int64_t count =
      TRY(replica_count(profile, "replicaCount", 1, "properties.publishingProfile.replicaCount"));
  const auto excluded = optional_bool(profile, "excludeFromLatest", false);
  if (!excluded) return bad_field("properties.publishingProfile.excludeFromLatest", excluded.error().message());
  const std::vector<Target> targets = TRY(read_targets(call, profile, location, count));
  json::array stored;
  for (const Target& target : targets) {
    stored.push_back(target.stored);
    body.target_regions.push_back(target.region);
  }
  body.publishing_profile = {
      {"targetRegions", std::move(stored)},
      {"replicaCount", count},
      {"excludeFromLatest", *excluded},
      {"storageAccountType", TRY(storage_account_type(profile, "properties.publishingProfile.storageAccountType"))},
      {"replicationMode", equals_ignoring_case(string_at(profile, "replicationMode"), "Shallow") ? "Shallow" : "Full"}};
  for (const char* name : {"endOfLifeDate", "publishedDate"}) {
    if (find(profile, name) != nullptr) body.publishing_profile[name] = string_at(profile, name);
  }
  return {};
}

// Where the bytes are to come from. Exactly one kind may be named, and of Azure's kinds only uploaded disks are taken.
Status read_source(const json::object& properties, VersionBody& body) {
  constexpr std::string_view kDisk = "storageProfile.osDiskImage.source.id";
  const auto unsupported = [](std::string_view path) {
    return fail(
        Error(Code::kUnsupported,
              fmt::format("The source '{}' is not offered. Upload the disk (createOption Upload) and name it in "
                          "storageProfile.osDiskImage.source.id.",
                          path))
            .with_target(fmt::format("properties.{}", path)));
  };
  for (const char* path : {"storageProfile.source.id", "storageProfile.source.virtualMachineId",
                           "storageProfile.source.communityGalleryImageId", "storageProfile.osDiskImage.source.uri"}) {
    if (!string_at(properties, path).empty()) return unsupported(path);
  }
  if (const json::value* data = find(properties, "storageProfile.dataDiskImages");
      data != nullptr && !(data->is_array() && data->get_array().empty())) {
    return unsupported("storageProfile.dataDiskImages");
  }
  const auto id = optional_string(properties, kDisk);
  if (!id) return bad_field(fmt::format("properties.{}", kDisk), id.error().message());
  if (id->empty()) return {};
  body.source_disk = TRY(catalog::ArmId::parse_as(*id, catalog::kDiskType, fmt::format("properties.{}", kDisk)))
  .text();
  return {};
}

}  // namespace

Result<VersionBody> read_version(const Call& call, const json::object& properties, const std::string& location,
                                 const db::Resource* existing) {
  VersionBody body;
  TRY(read_publishing(call, properties, location, existing, body));
  if (existing == nullptr || find(properties, "storageProfile.osDiskImage.source") != nullptr) {
    TRY(read_source(properties, body));
  }
  if (existing != nullptr) {
    const json::value* old = find(existing->properties, "safetyProfile");
    if (old != nullptr && old->is_object()) body.safety_profile = old->get_object();
  }
  for (const char* flag : {"allowDeletionOfReplicatedLocations", "blockDeletionBeforeEndOfLife"}) {
    const std::string path = fmt::format("safetyProfile.{}", flag);
    const auto value = optional_bool(properties, path, bool_at(body.safety_profile, flag));
    if (!value) return bad_field("properties." + path, value.error().message());
    if (find(properties, path) != nullptr) body.safety_profile[flag] = *value;
  }
  return body;
}

}  // namespace atelier::api
