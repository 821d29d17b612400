// Image versions: the bytes of an image, in each of its regions.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "api/answers.h"
#include "api/envelope.h"
#include "api/fields.h"
#include "api/gallery_rows.h"
#include "api/own_routes.h"
#include "api/replication_status.h"
#include "api/uploads.h"
#include "api/version_body.h"
#include "base/text.h"
#include "catalog/image_version.h"
#include "catalog/names.h"
#include "catalog/regions.h"
#include "db/database.h"
#include "gallery/delete_version.h"
#include "gallery/import_version.h"
#include "gallery/remove_replica.h"
#include "gallery/replicate_version.h"
#include "http/message.h"
#include "image/inspect.h"
#include "ops/runner.h"

namespace atelier::api {
namespace {

constexpr std::string_view kSource = "properties.storageProfile.osDiskImage.source.id";

struct Written {
  db::Resource version;
  int status = 200;
  std::string operation_id;  // "" when everything is done already
};

http::Response answer_written(const Call& call, const Written& written) {
  if (written.operation_id.empty()) return answer_resource(written.status, written.version);
  call.context.parts.runner.wake();
  return answer_accepted_resource(written.status, written.version, call,
                                  {.provider = kCompute, .location = written.version.location}, written.operation_id);
}

// The disk's row fits the version and its definition.
Status check_source(const db::Resource& disk, const db::Resource& definition, const std::string& location) {
  if (disk.location != location) {
    return bad_field(kSource, fmt::format("The disk is in region '{}', the version in '{}'. Upload it to the version's "
                                          "region.",
                                          disk.location, location));
  }
  for (const char* field : {"osType", "hyperVGeneration"}) {
    const std::string of_disk = string_at(disk.properties, field);
    const std::string of_definition = string_at(definition.properties, field);
    if (of_disk.empty() || equals_ignoring_case(of_disk, of_definition)) continue;
    return bad_field(kSource,
                     fmt::format("The disk's {} is {}, the image definition's is {}.", field, of_disk, of_definition));
  }
  return {};
}

// Looks at the uploaded file's header before anything is queued, so that a file that is no disk is told at once. Reads
// a bounded number of bytes; the operation checks again.
Status check_file(const Call& call, const std::string& disk_id) {
  const auto disk = TRY(call.context.parts.database.read(
      [&](db::Transaction& transaction) { return db::find_resource(transaction, disk_id); }));
  if (!disk || string_at(disk->properties, "diskState") != "Unattached") return {};  // told by import_version::begin
  const auto format = image::inspect_disk_file(upload_file(call.context, *disk));
  if (!format) return fail(Error(format.error()).with_target(std::string(kSource)));
  if (format->kind == image::DiskFormat::Kind::kRaw || format->kind == image::DiskFormat::Kind::kQcow2) return {};
  return fail(Error(Code::kUnsupported, fmt::format("The uploaded file is a {} disk. Convert it to qcow2 or raw.",
                                                    image::to_string(format->kind)))
                  .with_target(std::string(kSource)));
}

Result<Written> create_version(const Call& call, db::Transaction& transaction, const db::Resource& definition,
                               db::Resource version, const json::object& given) {
  VersionBody body = TRY(read_version(call, given, version.location, nullptr));
  if (!body.source_disk) return bad_field(kSource, "A new version needs a source: the id of an uploaded disk.");
  const auto disk = TRY(db::find_resource(transaction, *body.source_disk));
  if (disk) TRY(check_source(*disk, definition, version.location));
  version.properties = {
      {"publishingProfile", std::move(body.publishing_profile)},
      {"storageProfile", {{"osDiskImage", {{"hostCaching", "None"}, {"source", {{"id", *body.source_disk}}}}}}},
      {"safetyProfile", std::move(body.safety_profile)}};
  const bool is_new = version.revision == 0;
  gallery::Accepted accepted = TRY(gallery::import_version::begin(
      transaction, {.version = std::move(version), .disk_id = *body.source_disk, .principal = call.principal.name}));
  return Written{.version = std::move(accepted.resource),
                 .status = is_new ? 201 : 200,
                 .operation_id = std::move(accepted.operation_id)};
}

// Regions come and go by operations of their own; the first one stands for all of them in the answer.
Result<std::string> change_regions(const Call& call, db::Transaction& transaction, db::Resource& version,
                                   const VersionBody& body) {
  const std::set<std::string> wanted(body.target_regions.begin(), body.target_regions.end());
  const bool may_drop = bool_at(body.safety_profile, "allowDeletionOfReplicatedLocations", true);
  std::string first;
  for (const auto& [region, replica] : catalog::image_version_of(version).replicas) {
    if (wanted.contains(region)) continue;
    if (!may_drop) {
      return fail(
          Error(Code::kFailedPrecondition,
                fmt::format("The region '{}' cannot be dropped: safetyProfile.allowDeletionOfReplicatedLocations "
                            "is false.",
                            region))
              .with_target("properties.publishingProfile.targetRegions"));
    }
    const std::string id = TRY(gallery::remove_replica::begin(transaction, version, region, call.principal.name));
    if (first.empty()) first = id;
  }
  const catalog::ImageVersion model = catalog::image_version_of(version);
  for (const std::string& region : wanted) {
    const auto replica = model.replicas.find(region);
    if (replica != model.replicas.end() && replica->second.state != catalog::ReplicaState::kFailed) continue;
    const std::string id = TRY(gallery::replicate_version::begin(transaction, version, region, call.principal.name));
    first = id;
  }
  return first;
}

Result<Written> change_version(const Call& call, db::Transaction& transaction, db::Resource version,
                               const json::object& given) {
  if (version.provisioning_state != "Succeeded") {
    return fail(Error(Code::kConflict, fmt::format("The image version '{}' is {}. Wait until that is over.",
                                                   version.name, version.provisioning_state)));
  }
  const VersionBody body = TRY(read_version(call, given, version.location, &version));
  const std::string old_source = string_at(version.properties, "storageProfile.osDiskImage.source.id");
  if (body.source_disk && !equals_ignoring_case(*body.source_disk, old_source)) {
    return fail(Error(Code::kConflict,
                      "The source of an image version cannot change: its bytes never do. Make a new "
                      "version.")
                    .with_reason("PropertyChangeNotAllowed")
                    .with_target("galleryImageVersion.properties.storageProfile"));
  }
  std::string operation_id = TRY(change_regions(call, transaction, version, body));
  version.properties["publishingProfile"] = body.publishing_profile;
  version.properties["safetyProfile"] = body.safety_profile;
  version.changed_by = call.principal.name;
  TRY(db::update_resource(transaction, version));
  return Written{.version = std::move(version), .operation_id = std::move(operation_id)};
}

Result<Written> write_version(const Call& call, db::Transaction& transaction, const json::object& body) {
  TRY(require_group(call, transaction));
  TRY(require_parent(transaction, gallery_id(call).text()));
  const db::Resource definition = TRY(require_parent(transaction, definition_id(call).text()));
  TRY(catalog::VersionNumber::parse(call.param("version"), "galleryImageVersionName"));
  const std::string location = TRY(location_or_parents(call, body, definition));
  const json::object given = TRY(properties_of(body));
  std::optional<db::Resource> existing = TRY(db::find_resource(transaction, version_id(call).text()));
  if (existing) TRY(check_location(*existing, location));
  const catalog::ArmId parent = TRY(catalog::ArmId::parse(definition.id));
  db::Resource version = existing
                             ? *std::move(existing)
                             : new_resource(call, parent.child("versions", call.param("version")).text(), location);
  version.tags = TRY(tags_of(body));
  version.changed_by = call.principal.name;
  const bool from_the_start = version.revision == 0 || version.provisioning_state == "Failed";
  return from_the_start ? create_version(call, transaction, definition, std::move(version), given)
                        : change_version(call, transaction, std::move(version), given);
}

Result<http::Response> put_version(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  if (const auto id = catalog::ArmId::parse_as(string_at(body, "properties.storageProfile.osDiskImage.source.id"),
                                               catalog::kDiskType)) {
    TRY(check_file(call, id->text()));
  }
  const Written written = TRY(call.context.parts.database.write(
      [&](db::Transaction& transaction) { return write_version(call, transaction, body); }));
  return answer_written(call, written);
}

Result<http::Response> patch_version(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const json::object given = TRY(properties_of(body));
  const auto write = [&](db::Transaction& transaction) -> Result<Written> {
    db::Resource version = TRY(require_resource(transaction, version_id(call).text()));
    if (find(body, "tags") != nullptr) version.tags = TRY(tags_of(body));
    return change_version(call, transaction, std::move(version), given);
  };
  const Written written = TRY(call.context.parts.database.write(write));
  return answer_written(call, written);
}

Result<http::Response> get_version(Call& call) {
  TRY(check_subscription(call));
  const std::string expand = to_lower(call.request.query_value("$expand").value_or(""));
  const auto read = [&](db::Transaction& transaction) -> Result<json::object> {
    TRY(require_group(call, transaction));
    TRY(require_parent(transaction, gallery_id(call).text()));
    TRY(require_parent(transaction, definition_id(call).text()));
    const db::Resource version = TRY(require_resource(transaction, version_id(call).text()));
    json::object answer = to_arm(version);
    if (expand.find("replicationstatus") != std::string::npos) {
      set_at(answer, "properties.replicationStatus", TRY(replication_status_of(transaction, version)));
    }
    return answer;
  };
  const json::object answer = TRY(call.context.parts.database.read(read));
  return answer_json(200, answer);
}

Result<http::Response> list_versions(Call& call) {
  TRY(check_subscription(call));
  const auto read = [&](db::Transaction& transaction) -> Result<db::Resource> {
    TRY(require_parent(transaction, gallery_id(call).text()));
    return require_parent(transaction, definition_id(call).text());
  };
  const db::Resource definition = TRY(call.context.parts.database.read(read));
  db::ResourceQuery query;
  query.type = catalog::kVersionType;
  query.parent_id = definition.id;
  return answer_list(call, std::move(query));
}

Status check_may_go(const db::Resource& version) {
  if (!bool_at(version.properties, "safetyProfile.blockDeletionBeforeEndOfLife")) return {};
  const auto end = parse_rfc3339(string_at(version.properties, "publishingProfile.endOfLifeDate"));
  if (!end || *end <= now()) return {};
  return fail(Code::kFailedPrecondition, fmt::format("The image version '{}' cannot be deleted before its end of life: "
                                                     "safetyProfile.blockDeletionBeforeEndOfLife is true.",
                                                     version.name));
}

Result<http::Response> delete_version(Call& call) {
  TRY(check_subscription(call));
  using Accepted = std::optional<gallery::Accepted>;
  const auto write = [&](db::Transaction& transaction) -> Result<Accepted> {
    const auto version = TRY(db::find_resource(transaction, version_id(call).text()));
    if (version) TRY(check_may_go(*version));
    return gallery::delete_version::begin(transaction, version_id(call).text(), call.principal.name);
  };
  const Accepted accepted = TRY(call.context.parts.database.write(write));
  if (!accepted) return answer_empty(204);
  call.context.parts.runner.wake();
  return answer_accepted(call, {.provider = kCompute, .location = accepted->resource.location}, accepted->operation_id);
}

}  // namespace

void add_gallery_image_version_routes(ArmRoutes& routes) {
  const std::string versions = "{group}/Microsoft.Compute/galleries/{gallery}/images/{image}/versions";
  routes.add("GET", versions, list_versions);
  routes.add("GET", versions + "/{version}", get_version);
  routes.add("PUT", versions + "/{version}", put_version);
  routes.add("PATCH", versions + "/{version}", patch_version);
  routes.add("DELETE", versions + "/{version}", delete_version);
}

}  // namespace atelier::api
