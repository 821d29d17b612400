#include "gallery/export_image.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/image_version.h"
#include "catalog/names.h"
#include "catalog/regions.h"
#include "db/database.h"
#include "gallery/definition.h"
#include "image/capture.h"
#include "vm/image_server.h"

namespace atelier::gallery::export_image {
namespace {

using catalog::ArmId;
using catalog::VersionNumber;

constexpr std::string_view kMadeDefinitionField = "madeDefinitionId";

db::Resource child_row(const Input& input, const ArmId& id, std::string location) {
  db::Resource row;
  row.id = id.text();
  row.type = id.type();
  row.name = id.name();
  row.parent_id = id.parent_text();
  row.subscription_id = id.subscription_id();
  row.resource_group = id.resource_group();
  row.location = std::move(location);
  row.created_by = row.changed_by = input.principal;
  row.provisioning_state = "Succeeded";
  return row;
}

db::Resource new_definition(const Input& input, const ArmId& id) {
  db::Resource definition = child_row(input, id, input.gallery.location);
  definition.properties = {
      {"osType", input.os_type},
      {"osState", "Specialized"},
      {"hyperVGeneration", "V1"},
      {"architecture", "x64"},
      {"identifier", {{"publisher", "AzureLabServices"}, {"offer", "General"}, {"sku", input.image_name}}}};
  return definition;
}

Status check_fits(const db::Resource& definition, const Input& input) {
  const bool fits = equals_ignoring_case(catalog::os_state_of(definition), "Specialized") &&
                    equals_ignoring_case(catalog::os_type_of(definition), input.os_type);
  if (fits) return {};
  return fail(Error(Code::kFailedPrecondition,
                    fmt::format("The gallery has an image '{}' already, and it is {} {}. An export is Specialized {}: "
                                "choose another name.",
                                definition.name, catalog::os_state_of(definition), catalog::os_type_of(definition),
                                input.os_type))
                  .with_reason("ImageNameTaken")
                  .with_target("name"));
}

// 1.0.0, then the greatest there is with one more patch; failed and unfinished ones count, so that no number means two
// things.
Result<VersionNumber> next_version(db::Transaction& transaction, const std::string& definition_id) {
  const std::vector<db::Resource> versions = TRY(catalog::versions_of(transaction, definition_id));
  if (versions.empty()) return VersionNumber{.major = 1, .minor = 0, .patch = 0};
  VersionNumber number = TRY(VersionNumber::parse(versions.front().name));
  constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
  if (number.patch < kMax) {
    ++number.patch;
  } else if (number.minor < kMax) {
    number = {.major = number.major, .minor = number.minor + 1, .patch = 0};
  } else {
    return fail(Code::kFailedPrecondition, "The image has no free version number. Export under another name.");
  }
  return number;
}

db::Resource new_version(const Input& input, const ArmId& id, const catalog::Parts& parts) {
  db::Resource version = child_row(input, id, input.location);
  json::array targets;
  const auto add = [&](const std::string& region) {
    targets.push_back(
        json::object{{"name", region}, {"regionalReplicaCount", 1}, {"storageAccountType", "Standard_LRS"}});
  };
  add(input.location);
  for (const catalog::Region* region : parts.regions.others_in_geography(input.location)) add(region->name);
  version.properties = {{"publishingProfile",
                         {{"targetRegions", std::move(targets)},
                          {"replicaCount", 1},
                          {"excludeFromLatest", false},
                          {"storageAccountType", "Standard_LRS"},
                          {"replicationMode", "Full"}}},
                        {"storageProfile", {{"osDiskImage", json::object{}}, {"source", {{"id", input.vm_id}}}}},
                        {"safetyProfile", {{"allowDeletionOfReplicatedLocations", true}}}};
  return version;
}

// The VM's disk as something to read: as it is, or one moment of it.
struct Disk {
  std::optional<vm::DiskExport> stopped;
  std::optional<vm::DiskBackup> backup;
  std::string uri;
  std::string changes_uri{};  // "" = `uri` tells them
  unsigned layers = 1;
  vm::Consistency consistency = vm::Consistency::kStopped;
};

Result<Disk> open_disk(const std::string& vm_uuid, const vm::OverlayDisk& overlay, vm::Hypervisor& hypervisor,
                       TaskContext& task) {
  const auto status = hypervisor.status(vm_uuid);
  if (!status && status.error().code() != Code::kNotFound) return fail(status.error());
  const vm::PowerState power = status ? status->power : vm::PowerState::kStopped;
  Disk disk;
  if (power == vm::PowerState::kStopped || power == vm::PowerState::kCrashed) {
    disk.stopped = TRY(vm::export_overlay(overlay));
    disk.uri = disk.stopped->uri();
    disk.changes_uri = disk.stopped->changes_uri();
    if (power == vm::PowerState::kCrashed) disk.consistency = vm::Consistency::kCrash;
    return disk;
  }
  if (power != vm::PowerState::kRunning) {
    return fail(Code::kUnavailable, fmt::format("The template VM is {}.", to_lower(vm::to_string(power))));
  }
  disk.backup = TRY(hypervisor.begin_backup(vm_uuid, {}, task));
  disk.uri = disk.backup->uri();
  disk.layers = disk.backup->layers();
  disk.consistency = disk.backup->consistency();
  return disk;
}

}  // namespace

Result<Accepted> begin(db::Transaction& transaction, const catalog::Parts& parts, const Input& input) {
  TRY(catalog::check_definition_name(input.image_name, "name"));
  const ArmId gallery_id = TRY(ArmId::parse_as(input.gallery.id, catalog::kGalleryType));
  ArmId definition_id = gallery_id.child("images", input.image_name);
  std::string made_definition_id;
  const std::optional<db::Resource> existing = TRY(db::find_resource(transaction, definition_id.text()));
  if (existing) {
    TRY(check_fits(*existing, input));
    definition_id = TRY(ArmId::parse(existing->id));
  } else {
    db::Resource definition = new_definition(input, definition_id);
    TRY(definition::check_identifier_is_free(transaction, definition));
    TRY(db::insert_resource(transaction, definition));
    made_definition_id = definition.id;
  }
  const VersionNumber number = TRY(next_version(transaction, definition_id.text()));
  db::Resource version = new_version(input, definition_id.child("versions", number.text()), parts);
  ops::NewOperation operation{.kind = std::string(kKind),
                              .subscription_id = version.subscription_id,
                              .location = input.location,
                              .target_id = input.vm_id,
                              .principal = input.principal,
                              .input = {{"vmUuid", input.vm_uuid},
                                        {"overlay", input.disk.path.string()},
                                        {"socket", input.disk.backing.socket},
                                        {"parentRoot", input.disk.backing.export_name},
                                        {"diskBytes", input.disk.backing.disk_bytes},
                                        {kMadeDefinitionField, made_definition_id}},
                              .exclusive_key = catalog::vm_exclusive_key(input.vm_id)};
  return begin_creation(transaction, std::move(version), std::move(operation));
}

Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, vm::Hypervisor& hypervisor,
                         TaskContext& task) {
  if (auto finished = TRY(result_if_finished(operation, parts, task))) return *std::move(finished);
  const catalog::Region& home = *TRY(parts.regions.require(operation.location, "location"));
  task.report({.phase = "Preparing"});
  if (home.server != nullptr) TRY_DURING(home.server->ensure_running(), "reach the template VM's base image");
  const vm::OverlayDisk overlay{.path = string_at(operation.input, "overlay"),
                                .backing = {.socket = string_at(operation.input, "socket"),
                                            .export_name = string_at(operation.input, "parentRoot"),
                                            .disk_bytes = uint_at(operation.input, "diskBytes")}};
  const Disk disk = TRY_DURING(open_disk(string_at(operation.input, "vmUuid"), overlay, hypervisor, task),
                               "open the template VM's disk");
  image::CaptureOptions options;
  options.nbd_uri = disk.uri;
  options.layers = disk.layers;
  options.changes_uri = disk.changes_uri;
  options.label = string_at(operation.input, kResourceIdField);
  options.parent = TRY(image::Digest::parse(overlay.backing.export_name));
  const auto captured = image::capture_disk(*home.store, options, task);
  if (!captured) {
    // Why the disk went away, when it did: the capture only saw its server close.
    if (disk.backup && !task.stop_requested()) TRY_DURING(disk.backup->health(), "read the template VM's disk");
    return fail(store_failure(captured.error(), home, "read the template VM's disk"));
  }
  return finish_creation(operation, parts, captured->record,
                         {.bytes_read = captured->bytes_read, .consistency = disk.consistency});
}

Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error) {
  if (error.code() != Code::kCanceled) return fail_creation(transaction, operation, error);
  const std::string version_id = string_at(operation.input, kResourceIdField);
  const std::optional<db::Resource> version = TRY(db::find_resource(transaction, version_id));
  if (version && version->provisioning_state == "Creating") TRY(db::erase_resource(transaction, version_id));
  const std::string definition_id = string_at(operation.input, kMadeDefinitionField);
  if (definition_id.empty() || TRY(db::count_children(transaction, definition_id)) > 0) return {};
  return db::erase_resource(transaction, definition_id);
}

}  // namespace atelier::gallery::export_image
