// Disks, as far as an image's source needs them: made for an upload, opened for writing by a signed URL, closed.
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "api/answers.h"
#include "api/disk_rows.h"
#include "api/envelope.h"
#include "api/fields.h"
#include "api/own_routes.h"
#include "api/uploads.h"
#include "auth/sas.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/names.h"
#include "db/database.h"
#include "http/message.h"

namespace atelier::api {
namespace {

constexpr std::uint64_t kGib = std::uint64_t{1} << 30;
constexpr std::int64_t kAccessSecondsMax = 7 * 24 * 3600;

std::string disk_id(const Call& call) {
  return catalog::ArmId::of_resource(call.context.subscription_id, call.param("rg"), catalog::kDiskType,
                                     call.param("disk"))
      .text();
}

json::object to_disk(const db::Resource& disk) {
  json::object answer = to_arm(disk);
  answer["sku"] = json::object{{"name", string_at(disk.internal, "sku", "Standard_LRS")}};
  return answer;
}

Result<json::object> new_properties(const Call& call, const json::object& given) {
  const std::string option = TRY(require_string(given, "creationData.createOption"));
  if (!equals_ignoring_case(option, "Upload")) {
    return fail(Error(Code::kUnsupported,
                      fmt::format("The createOption '{}' is not offered; 'Upload' is.", option.substr(0, 40)))
                    .with_target("properties.creationData.createOption"));
  }
  constexpr std::string_view kSize = "creationData.uploadSizeBytes";
  const std::int64_t size = TRY(optional_int(given, kSize, 0));
  const std::uint64_t size_max = call.context.upload_bytes_max;
  if (size < 512 || static_cast<std::uint64_t>(size) > size_max) {
    return bad_field("properties.creationData.uploadSizeBytes",
                     fmt::format("uploadSizeBytes must be the file's size, from 512 to {} bytes.", size_max));
  }
  const auto bytes = static_cast<std::uint64_t>(size);
  return json::object{{"osType", TRY(optional_word(given, "osType", {"Linux", "Windows"}, ""))},
                      {"hyperVGeneration", TRY(optional_word(given, "hyperVGeneration", {"V1", "V2"}, ""))},
                      {"creationData", {{"createOption", "Upload"}, {"uploadSizeBytes", bytes}}},
                      {"diskSizeBytes", bytes},
                      {"diskSizeGB", (bytes + kGib - 1) / kGib},
                      {"diskState", "ReadyToUpload"},
                      {"timeCreated", to_rfc3339(now())}};
}

void drop_empty(json::object& properties) {
  for (const char* name : {"osType", "hyperVGeneration"}) {
    if (string_at(properties, name).empty()) properties.erase(name);
  }
}

Result<db::Resource> update_disk(const Call& call, db::Transaction& transaction, db::Resource disk,
                                 const json::object& body) {
  const json::object given = TRY(properties_of(body));
  const auto size =
      TRY(optional_int(given, "creationData.uploadSizeBytes", static_cast<std::int64_t>(upload_bytes_of(disk))));
  if (static_cast<std::uint64_t>(size) != upload_bytes_of(disk)) {
    return fail(Error(Code::kConflict, "The size of an upload cannot change. Delete the disk and make it again.")
                    .with_reason("PropertyChangeNotAllowed")
                    .with_target("properties.creationData.uploadSizeBytes"));
  }
  if (find(body, "tags") != nullptr) disk.tags = TRY(tags_of(body));
  disk.changed_by = call.principal.name;
  TRY(db::update_resource(transaction, disk));
  return disk;
}

Result<http::Response> put_disk(Call& call) {
  TRY(check_subscription(call));
  TRY(catalog::check_resource_name(call.param("disk"), "diskName"));
  const json::object body = TRY(body_object(call));
  const std::string location = TRY(location_of(call, body));
  const json::object tags = TRY(tags_of(body));
  const auto write = [&](db::Transaction& transaction) -> Result<db::Resource> {
    TRY(require_group(call, transaction));
    std::optional<db::Resource> existing = TRY(db::find_resource(transaction, disk_id(call)));
    if (existing && existing->location != location) {
      return fail(Error(Code::kConflict,
                        fmt::format("The disk '{}' exists already in region '{}'.", existing->name, existing->location))
                      .with_reason("InvalidResourceLocation")
                      .with_target("location"));
    }
    if (existing) return update_disk(call, transaction, *std::move(existing), body);
    db::Resource disk = new_resource(call, disk_id(call), location);
    disk.tags = tags;
    const json::object given = TRY(properties_of(body));
    disk.properties = TRY(new_properties(call, given));
    drop_empty(disk.properties);
    disk.internal["sku"] = string_at(body, "sku.name", "Standard_LRS");
    TRY(insert_disk(transaction, disk));
    return disk;
  };
  // Never 201: az takes only 200 and 202 for disks.
  return answer_json(200, to_disk(TRY(call.context.parts.database.write(write))));
}

Result<http::Response> patch_disk(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const auto write = [&](db::Transaction& transaction) -> Result<db::Resource> {
    db::Resource existing = TRY(require_resource(transaction, disk_id(call)));
    return update_disk(call, transaction, std::move(existing), body);
  };
  const db::Resource disk = TRY(call.context.parts.database.write(write));
  return answer_json(200, to_disk(disk));
}

Result<http::Response> get_disk(Call& call) {
  TRY(check_subscription(call));
  const auto read = [&](db::Transaction& transaction) -> Result<db::Resource> {
    TRY(require_group(call, transaction));
    return require_resource(transaction, disk_id(call));
  };
  return answer_json(200, to_disk(TRY(call.context.parts.database.read(read))));
}

Result<http::Response> list_disks(Call& call) {
  TRY(check_subscription(call));
  db::ResourceQuery query;
  query.type = catalog::kDiskType;
  query.scope_id = "/subscriptions/" + call.context.subscription_id;
  if (call.request.params.contains("rg")) {
    const db::Resource group = TRY(call.context.parts.database.read(
        [&](db::Transaction& transaction) { return require_group(call, transaction); }));
    query.scope_id = group.id;
  }
  return answer_list(
      call, std::move(query),
      [](db::Transaction&, const db::Resource& disk) -> Result<std::optional<json::object>> { return to_disk(disk); });
}

// The file first: a crash in between leaves a row that can be deleted again, and no bytes that nobody knows.
Result<http::Response> delete_disk(Call& call) {
  TRY(check_subscription(call));
  const auto disk = TRY(call.context.parts.database.read(
      [&](db::Transaction& transaction) { return db::find_resource(transaction, disk_id(call)); }));
  if (!disk) return answer_empty(204);
  TRY(remove_upload_file(call.context, *disk));
  TRY(call.context.parts.database.write([&](db::Transaction& transaction) { return erase_disk(transaction, *disk); }));
  return answer_empty(200);
}

std::unexpected<Error> wrong_state(const db::Resource& disk, std::string_view wanted) {
  return fail(Error(Code::kFailedPrecondition,
                    fmt::format("The disk '{}' is {}. {}", disk.name, string_at(disk.properties, "diskState"), wanted))
                  .with_reason("OperationNotAllowed"));
}

Result<http::Response> begin_access(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const std::string access = TRY(require_string(body, "access"));
  const std::int64_t seconds = TRY(optional_int(body, "durationInSeconds", 3600));
  if (!equals_ignoring_case(access, "Write")) {
    return fail(Error(Code::kUnsupported, "Only the access 'Write' is offered.").with_target("access"));
  }
  if (seconds < 1 || seconds > kAccessSecondsMax) {
    return bad_field("durationInSeconds", fmt::format("durationInSeconds must be from 1 to {}.", kAccessSecondsMax));
  }
  const auto write = [&](db::Transaction& transaction) -> Result<db::Resource> {
    db::Resource disk = TRY(require_resource(transaction, disk_id(call)));
    const std::string state = string_at(disk.properties, "diskState");
    if (state != "ReadyToUpload" && state != "ActiveUpload") {
      return wrong_state(disk, "Its upload is over. Delete the disk and make it again to upload other bytes.");
    }
    disk.properties["diskState"] = "ActiveUpload";
    disk.changed_by = call.principal.name;
    TRY(db::update_resource(transaction, disk));
    return disk;
  };
  const db::Resource disk = TRY(call.context.parts.database.write(write));
  const std::string guid = upload_guid_of(disk);
  const TimePoint expires = now() + std::chrono::seconds(seconds);
  const std::string url =
      fmt::format("{}/uploads/{}?{}", absolute_base_url(call), guid, call.context.upload_signer.sign(guid, expires));
  return answer_json(200, json::object{{"accessSAS", url}});
}

Result<http::Response> end_access(Call& call) {
  TRY(check_subscription(call));
  const db::Resource known = TRY(call.context.parts.database.read(
      [&](db::Transaction& transaction) { return require_resource(transaction, disk_id(call)); }));
  TRY(ensure_upload_file(call.context, known));
  const auto write = [&](db::Transaction& transaction) -> Status {
    db::Resource disk = TRY(require_resource(transaction, disk_id(call)));
    const std::string state = string_at(disk.properties, "diskState");
    if (state == "Unattached") return {};
    if (state != "ActiveUpload") return wrong_state(disk, "Nobody was given access to it.");
    disk.properties["diskState"] = "Unattached";
    disk.changed_by = call.principal.name;
    return db::update_resource(transaction, disk);
  };
  TRY(call.context.parts.database.write(write));
  return answer_empty(200);
}

}  // namespace

void add_disk_routes(ArmRoutes& routes) {
  routes.add("GET", "{subscription}/providers/Microsoft.Compute/disks", list_disks);
  routes.add("GET", "{group}/Microsoft.Compute/disks", list_disks);
  routes.add("GET", "{group}/Microsoft.Compute/disks/{disk}", get_disk);
  routes.add("PUT", "{group}/Microsoft.Compute/disks/{disk}", put_disk);
  routes.add("PATCH", "{group}/Microsoft.Compute/disks/{disk}", patch_disk);
  routes.add("DELETE", "{group}/Microsoft.Compute/disks/{disk}", delete_disk);
  routes.add("POST", "{group}/Microsoft.Compute/disks/{disk}/beginGetAccess", begin_access);
  routes.add("POST", "{group}/Microsoft.Compute/disks/{disk}/endGetAccess", end_access);
}

}  // namespace atelier::api
