#include "labs/lab_settings.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "labs/credentials.h"
#include "labs/durations.h"
#include "labs/profiles.h"

namespace atelier::labs {
namespace {

constexpr std::array<std::string_view, 2> kSwitch = {"Disabled", "Enabled"};
constexpr std::array<std::string_view, 2> kCreateOptions = {"TemplateVM", "Image"};
constexpr std::size_t kTitleMax = 120;
constexpr std::size_t kDescriptionMax = 4000;
constexpr std::int64_t kCapacityMax = 400;
constexpr std::chrono::hours kQuotaMax{9999};

std::unexpected<Error> wrong(std::string message, std::string_view field) {
  return fail(Error(Code::kInvalidArgument, std::move(message)).with_target(fmt::format("properties.{}", field)));
}

// The text at `path` below properties; errors name the whole path.
Result<std::string> text_at(const json::object& given, std::string_view path, std::string_view fallback = {}) {
  const json::value* value = find(given, path);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) return wrong(fmt::format("The field 'properties.{}' must be a text.", path), path);
  return std::string(value->get_string());
}

Result<std::string> required_text_at(const json::object& given, std::string_view path) {
  std::string text = TRY(text_at(given, path));
  if (text.empty()) return wrong(fmt::format("The field 'properties.{}' is required.", path), path);
  return text;
}

// Reads title and description when they are there.
Status read_texts(const json::object& given, json::object& lab) {
  const std::string title = TRY(text_at(given, "title"));
  if (title.size() > kTitleMax)
    return wrong(fmt::format("The title must have 1 to {} characters.", kTitleMax), "title");
  if (!title.empty()) lab["title"] = title;
  if (find(given, "description") != nullptr) {
    const std::string description = TRY(text_at(given, "description"));
    if (description.size() > kDescriptionMax) {
      return wrong(fmt::format("The description must have at most {} bytes.", kDescriptionMax), "description");
    }
    lab["description"] = description;
  }
  return {};
}

Status read_profiles(const json::object& given, const json::object& shutdown_base, const json::object& connection_base,
                     json::object& lab) {
  lab["autoShutdownProfile"] = TRY(
      read_auto_shutdown_profile(find(given, "autoShutdownProfile"), shutdown_base, "properties.autoShutdownProfile"));
  lab["connectionProfile"] =
      TRY(read_connection_profile(find(given, "connectionProfile"), connection_base, "properties.connectionProfile"));
  const json::value* security = lab.if_contains("securityProfile");
  const json::object kept = security != nullptr && security->is_object() ? security->get_object() : json::object();
  lab["securityProfile"] =
      TRY(read_security_profile(find(given, "securityProfile"), kept, "properties.securityProfile"));
  return {};
}

Result<std::string> read_quota(const json::object& given) {
  constexpr std::string_view kField = "virtualMachineProfile.usageQuota";
  const std::string text = TRY(text_at(given, kField, "PT0S"));
  const std::chrono::seconds quota = TRY(parse_duration(text, "properties.virtualMachineProfile.usageQuota"));
  if (quota > kQuotaMax) return wrong(fmt::format("The quota must be at most {} hours.", kQuotaMax.count()), kField);
  return to_iso8601(quota);
}

Result<std::int64_t> read_capacity(const json::object& given) {
  constexpr std::string_view kField = "virtualMachineProfile.sku.capacity";
  const json::value* value = find(given, kField);
  if (value == nullptr) return 0;
  const std::int64_t capacity = int_at(given, kField, -1);
  if (!value->is_number() || capacity < 0 || capacity > kCapacityMax) {
    return wrong(fmt::format("The capacity must be a whole number from 0 to {}.", kCapacityMax), kField);
  }
  return capacity;
}

Result<ImageReference> read_image(const json::object& given) {
  constexpr std::string_view kField = "virtualMachineProfile.imageReference";
  const std::string prefix = std::string(kField) + ".";
  ImageReference image;
  image.id = TRY(text_at(given, prefix + "id"));
  image.publisher = TRY(text_at(given, prefix + "publisher"));
  image.offer = TRY(text_at(given, prefix + "offer"));
  image.sku = TRY(text_at(given, prefix + "sku"));
  image.version = TRY(text_at(given, prefix + "version", "latest"));
  if (image.id.empty() && (image.publisher.empty() || image.offer.empty() || image.sku.empty())) {
    return wrong("The image reference needs an id, or publisher, offer and sku.", kField);
  }
  return image;
}

json::object image_as_answered(const ImageReference& image) {
  if (!image.id.empty()) return {{"id", image.id}};
  return {{"publisher", image.publisher}, {"offer", image.offer}, {"sku", image.sku}, {"version", image.version}};
}

Result<json::object> read_machine(const json::object& given, NewLab& lab) {
  const std::string option = TRY(text_at(given, "virtualMachineProfile.createOption", "TemplateVM"));
  const std::string create_option =
      TRY(require_word(option, kCreateOptions, "properties.virtualMachineProfile.createOption"));
  if (create_option != "TemplateVM") {
    return fail(Error(Code::kUnsupported, "Labs without a template VM are not offered. Use createOption TemplateVM.")
                    .with_target("properties.virtualMachineProfile.createOption"));
  }
  lab.image = TRY(read_image(given));
  const std::string size = TRY(required_text_at(given, "virtualMachineProfile.sku.name"));
  lab.size = TRY(require_vm_size(size, "properties.virtualMachineProfile.sku.name"));
  const std::int64_t capacity = TRY(read_capacity(given));
  const std::string quota = TRY(read_quota(given));
  const std::string shared = TRY(text_at(given, "virtualMachineProfile.useSharedPassword", "Disabled"));
  const std::string shared_word =
      TRY(require_word(shared, kSwitch, "properties.virtualMachineProfile.useSharedPassword"));
  lab.user_name = TRY(text_at(given, "virtualMachineProfile.adminUser.username"));
  lab.password = TRY(text_at(given, "virtualMachineProfile.adminUser.password"));

  json::object machine{{"createOption", create_option},
                       {"imageReference", image_as_answered(lab.image)},
                       {"sku", json::object{{"name", lab.size->name},
                                            {"family", lab.size->family},
                                            {"size", lab.size->size},
                                            {"tier", "Standard"},
                                            {"capacity", capacity}}},
                       {"additionalCapabilities", json::object{{"installGpuDrivers", "Disabled"}}},
                       {"usageQuota", quota},
                       {"useSharedPassword", shared_word}};
  if (!lab.user_name.empty()) machine["adminUser"] = json::object{{"username", lab.user_name}};
  return machine;
}

// Fails when `given` names a value for a fixed field that is not the one the lab has.
Status check_unchanged(const json::object& stored, const json::object& given) {
  constexpr std::array<std::string_view, 9> kFixed = {"labPlanId",
                                                      "virtualMachineProfile.createOption",
                                                      "virtualMachineProfile.imageReference.id",
                                                      "virtualMachineProfile.imageReference.publisher",
                                                      "virtualMachineProfile.imageReference.offer",
                                                      "virtualMachineProfile.imageReference.sku",
                                                      "virtualMachineProfile.sku.name",
                                                      "virtualMachineProfile.useSharedPassword",
                                                      "virtualMachineProfile.adminUser.username"};
  for (const std::string_view field : kFixed) {
    std::string wanted = TRY(text_at(given, field));
    if (field == "labPlanId" && !wanted.empty() && wanted.front() != '/') wanted = fmt::format("/{}", wanted);
    if (wanted.empty() || equals_ignoring_case(wanted, string_at(stored, field))) continue;
    return fail(Error(Code::kConflict,
                      fmt::format("The field 'properties.{}' is fixed when the lab is created. Make a new lab.", field))
                    .with_reason("PropertyChangeNotAllowed")
                    .with_target(fmt::format("properties.{}", field)));
  }
  return {};
}

json::object object_at(const json::object& root, std::string_view path) {
  const json::value* value = find(root, path);
  return value != nullptr && value->is_object() ? value->get_object() : json::object();
}

}  // namespace

Result<NewLab> read_new_lab(const json::object& given, std::string_view lab_name, const json::object& plan_properties) {
  NewLab lab;
  lab.properties["title"] = lab_name;
  TRY(read_texts(given, lab.properties));
  TRY(read_profiles(given, object_at(plan_properties, "defaultAutoShutdownProfile"),
                    object_at(plan_properties, "defaultConnectionProfile"), lab.properties));
  lab.properties["virtualMachineProfile"] = TRY(read_machine(given, lab));
  lab.properties["state"] = "Draft";
  return lab;
}

Result<json::object> change_lab(const db::Resource& lab, const json::object& given, Change change) {
  TRY(check_unchanged(lab.properties, given));
  json::object changed = lab.properties;
  if (change == Change::kReplace) changed.erase("description");
  if (given.contains("description") && given.at("description").is_null()) changed.erase("description");
  TRY(read_texts(given, changed));
  TRY(read_profiles(given, object_at(lab.properties, "autoShutdownProfile"),
                    object_at(lab.properties, "connectionProfile"), changed));
  if (find(given, "virtualMachineProfile.usageQuota") != nullptr) {
    set_at(changed, "virtualMachineProfile.usageQuota", json::value(TRY(read_quota(given))));
  }
  if (find(given, "virtualMachineProfile.sku.capacity") != nullptr) {
    set_at(changed, "virtualMachineProfile.sku.capacity", json::value(TRY(read_capacity(given))));
  }
  return changed;
}

std::string plan_id_of(const db::Resource& lab) { return string_at(lab.properties, "labPlanId"); }

}  // namespace atelier::labs
