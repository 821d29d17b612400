#include "labs/plan_images.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/image_version.h"
#include "labs/plan_settings.h"
#include "labs/profiles.h"

namespace atelier::labs {
namespace {

constexpr std::string_view kReferenceField = "properties.virtualMachineProfile.imageReference";

std::unexpected<Error> refuse(Code code, std::string_view reason, std::string message) {
  return fail(
      Error(code, std::move(message)).with_reason(std::string(reason)).with_target(std::string(kReferenceField)));
}

// What new labs may know of a definition's versions: the regions where at least one is usable, and the newest such.
struct Availability {
  std::set<std::string> regions;
  std::string newest;  // number of the newest version that is usable somewhere; "" when there is none
};

Result<Availability> availability_of(db::Transaction& transaction, std::string_view definition_id) {
  Availability found;
  for (const db::Resource& version : TRY(catalog::versions_of(transaction, definition_id))) {
    for (const auto& [region, replica] : catalog::image_version_of(version).replicas) {
      if (found.regions.contains(region) || !catalog::is_usable_in(version, region)) continue;
      // By the catalog's word, since a version may be kept out of "latest" in one region or in all.
      const Result<db::Resource> newest = catalog::newest_usable_version(transaction, definition_id, region);
      if (!newest && newest.error().code() != Code::kNotFound) return fail(newest.error());
      if (!newest) continue;
      found.regions.insert(region);
      if (found.newest.empty()) found.newest = newest->name;
    }
  }
  return found;
}

HiddenReason hidden_reason(EnabledState state, const Availability& available, const std::vector<std::string>& wanted) {
  if (available.regions.empty()) return HiddenReason::kNoUsableVersion;
  const auto is_there = [&](const std::string& region) { return available.regions.contains(region); };
  if (std::ranges::none_of(wanted, is_there)) return HiddenReason::kNotInRegion;
  return state == EnabledState::kDisabled ? HiddenReason::kDisabled : HiddenReason::kNone;
}

Result<std::vector<db::Resource>> definitions_of(db::Transaction& transaction, std::string_view gallery_id) {
  // Azure's own limit is 1000 definitions in a region; ten pages of that end any loop.
  constexpr std::size_t kPages = 10;
  db::ResourceQuery query{.type = std::string(catalog::kDefinitionType),
                          .scope_id = {},
                          .parent_id = std::string(gallery_id),
                          .after_id = {},
                          .limit = 1000};
  std::vector<db::Resource> all;
  for (std::size_t page = 0; page < kPages; ++page) {
    std::vector<db::Resource> some = TRY(db::list_resources(transaction, query));
    const bool last = some.size() < query.limit;
    if (!some.empty()) query.after_id = some.back().id;
    std::ranges::move(some, std::back_inserter(all));
    if (last) break;
  }
  return all;
}

Result<db::Resource> definition_by_words(db::Transaction& transaction, std::string_view gallery_id,
                                         const ImageReference& reference) {
  for (db::Resource& definition : TRY(definitions_of(transaction, gallery_id))) {
    if (equals_ignoring_case(string_at(definition.properties, "identifier.publisher"), reference.publisher) &&
        equals_ignoring_case(string_at(definition.properties, "identifier.offer"), reference.offer) &&
        equals_ignoring_case(string_at(definition.properties, "identifier.sku"), reference.sku)) {
      return std::move(definition);
    }
  }
  return refuse(Code::kNotFound, "GalleryImageNotFound",
                fmt::format("The attached gallery has no image with publisher '{}', offer '{}' and sku '{}'.",
                            reference.publisher, reference.offer, reference.sku));
}

struct Named {
  db::Resource definition;
  std::string version;  // "" means the newest
};

Result<Named> find_named(db::Transaction& transaction, std::string_view gallery_id, const ImageReference& reference) {
  if (reference.id.empty()) {
    Named named;
    named.definition = TRY(definition_by_words(transaction, gallery_id, reference));
    if (!equals_ignoring_case(reference.version, "latest")) named.version = reference.version;
    return named;
  }
  const catalog::ArmId id = TRY(catalog::ArmId::parse(reference.id));
  const bool of_version = equals_ignoring_case(id.type(), catalog::kVersionType);
  if (!of_version && !equals_ignoring_case(id.type(), catalog::kDefinitionType)) {
    return refuse(Code::kInvalidArgument, "InvalidParameter",
                  "The image reference's id is not the id of a gallery image definition or version.");
  }
  if (!catalog::is_within(id.text(), gallery_id)) {
    return refuse(
        Code::kFailedPrecondition, "ImageNotInAttachedGallery",
        fmt::format("The image is not in the gallery that is attached to the lab account ('{}'). Choose one of "
                    "the lab account's images.",
                    gallery_id));
  }
  std::optional<db::Resource> definition =
      TRY(db::find_resource(transaction, of_version ? id.parent_text() : id.text()));
  if (!definition.has_value()) {
    return refuse(Code::kNotFound, "GalleryImageNotFound",
                  fmt::format("The attached gallery has no image '{}'.", id.names()[1]));
  }
  return Named{.definition = std::move(*definition), .version = of_version ? id.name() : ""};
}

// Says why there is no version to use in `region`.
std::unexpected<Error> nothing_usable(const Availability& available, std::string_view image, std::string_view region) {
  if (available.regions.empty()) {
    return refuse(Code::kFailedPrecondition, "NoUsableVersion",
                  fmt::format("The image '{}' has no version that can be used yet.", image));
  }
  return refuse(
      Code::kFailedPrecondition, "ImageNotInRegion",
      fmt::format("The image '{}' is not available in region '{}', only in: {}. Replicate it there, or make the "
                  "lab in one of these regions.",
                  image, region, fmt::join(available.regions, ", ")));
}

Result<db::Resource> choose_version(db::Transaction& transaction, const Named& named, std::string_view region) {
  if (named.version.empty()) {
    Result<db::Resource> newest = catalog::newest_usable_version(transaction, named.definition.id, region);
    if (newest || newest.error().code() != Code::kNotFound) return newest;
    return nothing_usable(TRY(availability_of(transaction, named.definition.id)), named.definition.name, region);
  }
  std::optional<db::Resource> version =
      TRY(db::find_resource(transaction, fmt::format("{}/versions/{}", named.definition.id, named.version)));
  if (!version.has_value()) {
    return refuse(Code::kNotFound, "GalleryImageNotFound",
                  fmt::format("The image '{}' has no version '{}'.", named.definition.name, named.version));
  }
  if (catalog::is_usable_in(*version, region)) return std::move(*version);
  Availability available;
  for (const auto& [name, replica] : catalog::image_version_of(*version).replicas) {
    if (catalog::is_usable_in(*version, name)) available.regions.insert(name);
  }
  return nothing_usable(available, fmt::format("{}/{}", named.definition.name, named.version), region);
}

}  // namespace

std::string_view to_string(EnabledState state) { return state == EnabledState::kEnabled ? "Enabled" : "Disabled"; }

Result<EnabledState> parse_enabled_state(std::string_view word, std::string_view target) {
  constexpr std::array<std::string_view, 2> kWords = {"Disabled", "Enabled"};
  const std::string state = TRY(require_word(word, kWords, target));
  return state == "Enabled" ? EnabledState::kEnabled : EnabledState::kDisabled;
}

EnabledState enabled_state_of(const db::Resource& plan, std::string_view definition_id, ImagesByDefault fallback) {
  // Ids hold dots, so this is no path for find().
  const json::value* images = find(plan.internal, "images");
  const json::value* kept =
      images == nullptr || !images->is_object() ? nullptr : images->get_object().if_contains(to_lower(definition_id));
  if (kept != nullptr && kept->is_string()) {
    return kept->get_string() == "Enabled" ? EnabledState::kEnabled : EnabledState::kDisabled;
  }
  return fallback == ImagesByDefault::kEnabled ? EnabledState::kEnabled : EnabledState::kDisabled;
}

void keep_enabled_state(db::Resource& plan, std::string_view definition_id, EnabledState state) {
  json::value& images = plan.internal["images"];
  if (!images.is_object()) images = json::object();
  images.get_object()[to_lower(definition_id)] = to_string(state);
}

std::string_view to_string(HiddenReason reason) {
  switch (reason) {
    case HiddenReason::kNone:
      return "";
    case HiddenReason::kDisabled:
      return "Disabled";
    case HiddenReason::kNoUsableVersion:
      return "NoUsableVersion";
    case HiddenReason::kNotInRegion:
      return "NotInRegion";
  }
  return "";
}

Result<PlanImage> describe_image(db::Transaction& transaction, const db::Resource& plan, const db::Resource& definition,
                                 std::string_view region, ImagesByDefault fallback) {
  const EnabledState state = enabled_state_of(plan, definition.id, fallback);
  const Availability available = TRY(availability_of(transaction, definition.id));
  const std::vector<std::string> wanted =
      region.empty() ? allowed_regions_of(plan) : std::vector<std::string>{std::string(region)};

  PlanImage image{.resource = definition, .hidden = hidden_reason(state, available, wanted)};
  db::Resource& row = image.resource;
  row.id = fmt::format("{}/images/{}", plan.id, definition.name);
  row.type = catalog::kLabPlanImageType;
  row.parent_id = plan.id;
  row.subscription_id = plan.subscription_id;
  row.resource_group = plan.resource_group;
  row.location = "";
  row.tags = {};
  row.internal = {};
  row.provisioning_state = "Succeeded";
  json::array regions;
  for (const std::string& name : available.regions) regions.emplace_back(name);
  row.properties = {{"enabledState", to_string(state)},
                    {"displayName", definition.name},
                    {"osType", catalog::os_type_of(definition)},
                    {"osState", catalog::os_state_of(definition)},
                    {"publisher", string_at(definition.properties, "identifier.publisher")},
                    {"offer", string_at(definition.properties, "identifier.offer")},
                    {"sku", string_at(definition.properties, "identifier.sku")},
                    {"sharedGalleryId", definition.id},
                    {"availableRegions", std::move(regions)}};
  const std::string description = string_at(definition.properties, "description");
  if (!description.empty()) row.properties["description"] = description;
  if (!available.newest.empty()) row.properties["version"] = available.newest;
  return image;
}

Result<db::Resource> require_image_definition(db::Transaction& transaction, const db::Resource& plan,
                                              std::string_view image_name) {
  const std::string gallery_id = attached_gallery_of(plan);
  if (!gallery_id.empty() && image_name.find('/') == std::string_view::npos) {
    std::optional<db::Resource> definition =
        TRY(db::find_resource(transaction, fmt::format("{}/images/{}", gallery_id, image_name)));
    if (definition.has_value()) return std::move(*definition);
  }
  return fail(Error(Code::kNotFound, fmt::format("The lab account '{}' has no image '{}'.", plan.name, image_name))
                  .with_reason("ResourceNotFound"));
}

Result<db::Resource> require_attached_gallery(db::Transaction& transaction, const db::Resource& plan) {
  const std::string gallery_id = attached_gallery_of(plan);
  if (gallery_id.empty()) {
    return fail(Error(Code::kFailedPrecondition,
                      fmt::format("No gallery is attached to the lab account '{}'. Attach one first.", plan.name))
                    .with_reason("GalleryNotAttached"));
  }
  std::optional<db::Resource> gallery = TRY(db::find_resource(transaction, gallery_id));
  if (gallery.has_value()) return std::move(*gallery);
  return fail(
      Error(Code::kFailedPrecondition,
            fmt::format("The gallery that was attached to the lab account '{}' no longer exists. Attach another.",
                        plan.name))
          .with_reason("GalleryNotAttached"));
}

Result<ChosenImage> choose_image(db::Transaction& transaction, const db::Resource& plan,
                                 const ImageReference& reference, std::string_view region, ImagesByDefault fallback) {
  const db::Resource gallery = TRY(require_attached_gallery(transaction, plan));
  Named named = TRY(find_named(transaction, gallery.id, reference));
  if (enabled_state_of(plan, named.definition.id, fallback) == EnabledState::kDisabled) {
    return refuse(Code::kFailedPrecondition, "ImageDisabled",
                  fmt::format("The image '{}' is disabled for the lab account '{}'. Choose another, or have an "
                              "administrator enable it.",
                              named.definition.name, plan.name));
  }
  db::Resource version = TRY(choose_version(transaction, named, region));
  return ChosenImage{.definition = std::move(named.definition), .version = std::move(version)};
}

}  // namespace atelier::labs
