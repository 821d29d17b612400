#include "labs/plan_settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/arm_id.h"
#include "labs/profiles.h"

namespace atelier::labs {
namespace {

constexpr std::size_t kRegionsMax = 28;

std::unexpected<Error> wrong(std::string message, std::string_view target) {
  return fail(Error(Code::kInvalidArgument, std::move(message)).with_target(std::string(target)));
}

json::array home_geography(std::string_view location, const catalog::Regions& regions) {
  json::array names{json::value(location)};
  for (const catalog::Region* region : regions.others_in_geography(location)) names.emplace_back(region->name);
  return names;
}

Result<json::array> read_allowed_regions(const json::value& given, const catalog::Regions& regions) {
  constexpr std::string_view kField = "properties.allowedRegions";
  const json::array* list = given.if_array();
  if (list == nullptr || list->empty() || list->size() > kRegionsMax) {
    return wrong(fmt::format("The field '{}' must be a list of 1 to {} regions.", kField, kRegionsMax), kField);
  }
  json::array names;
  for (const json::value& item : *list) {
    if (!item.is_string()) return wrong(fmt::format("The field '{}' must be a list of texts.", kField), kField);
    const catalog::Region* region = TRY(regions.require(item.get_string(), kField));
    if (std::ranges::find(names, json::value(region->name)) == names.end()) names.emplace_back(region->name);
  }
  return names;
}

}  // namespace

Result<json::object> read_plan(const json::object& given, std::string_view location, const catalog::Regions& regions) {
  json::object plan;
  if (const json::value* profile = find(given, "defaultConnectionProfile")) {
    plan["defaultConnectionProfile"] = TRY(read_connection_profile(profile, {}, "properties.defaultConnectionProfile"));
  }
  if (const json::value* profile = find(given, "defaultAutoShutdownProfile")) {
    plan["defaultAutoShutdownProfile"] =
        TRY(read_auto_shutdown_profile(profile, {}, "properties.defaultAutoShutdownProfile"));
  }
  if (const json::value* network = find(given, "defaultNetworkProfile")) {
    // Kept for clients that send it back; networks are the host's affair here.
    if (!network->is_object()) {
      return wrong("The field 'properties.defaultNetworkProfile' must be an object.",
                   "properties.defaultNetworkProfile");
    }
    plan["defaultNetworkProfile"] = json::object{{"subnetId", string_at(network->get_object(), "subnetId")}};
  }
  const json::value* allowed = find(given, "allowedRegions");
  plan["allowedRegions"] =
      allowed == nullptr ? home_geography(location, regions) : TRY(read_allowed_regions(*allowed, regions));
  const json::value* gallery = find(given, "sharedGalleryId");
  if (gallery != nullptr && *gallery != json::value("")) {
    constexpr std::string_view kField = "properties.sharedGalleryId";
    if (!gallery->is_string()) return wrong(fmt::format("The field '{}' must be a text.", kField), kField);
    plan["sharedGalleryId"] = TRY(catalog::ArmId::parse_as(gallery->get_string(), catalog::kGalleryType, kField))
    .text();
  }
  if (const json::value* info = find(given, "supportInfo")) {
    plan["supportInfo"] = TRY(read_support_info(info, "properties.supportInfo"));
  }
  const std::string lms = TRY(optional_string(given, "linkedLmsInstance"));
  if (!lms.empty()) plan["linkedLmsInstance"] = lms;
  return plan;
}

std::vector<std::string> allowed_regions_of(const db::Resource& plan) {
  std::vector<std::string> names;
  const json::value* list = find(plan.properties, "allowedRegions");
  if (list == nullptr || !list->is_array()) return names;
  for (const json::value& name : list->get_array()) {
    if (name.is_string()) names.emplace_back(name.get_string());
  }
  return names;
}

std::string attached_gallery_of(const db::Resource& plan) { return string_at(plan.properties, "sharedGalleryId"); }

}  // namespace atelier::labs
