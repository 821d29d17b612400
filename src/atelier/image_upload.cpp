#include "atelier/image_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "atelier/disk_upload.h"
#include "base/text.h"

namespace atelier::cli {
namespace {

using Version = std::array<std::uint64_t, 3>;

std::optional<Version> parse_version(std::string_view text) {
  Version version{};
  for (std::size_t part = 0; part < version.size(); ++part) {
    const std::size_t dot = part + 1 < version.size() ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const auto number = parse_uint64(text.substr(0, dot));
    if (!number) return std::nullopt;
    version[part] = *number;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return version;
}

// "linux" → "Linux"
std::string capitalized(std::string word) {
  word = to_lower(word);
  if (!word.empty() && word[0] >= 'a' && word[0] <= 'z') word[0] = static_cast<char>(word[0] - 'a' + 'A');
  return word;
}

std::string or_default(const std::string& given, std::string_view otherwise) {
  return given.empty() ? std::string(otherwise) : given;
}

enum class Definition { kMade, kThere };

// Makes the definition unless it is there. One that is there has to be of the kind asked for.
Result<Definition> ensure_definition(Service& service, const ImageUpload& upload, const std::string& id,
                                     const std::string& location) {
  const auto existing = service.arm->get(id);
  if (existing) {
    for (const auto& [field, given] :
         {std::pair<std::string_view, std::string>{"osState", capitalized(upload.os_state)},
          std::pair<std::string_view, std::string>{"osType", capitalized(upload.os_type)}}) {
      const std::string is = string_at(*existing, fmt::format("properties.{}", field));
      if (given.empty() || equals_ignoring_case(is, given)) continue;
      return fail(Code::kConflict,
                  fmt::format("The image '{}' is {}, not {}. Choose another name.", upload.name, is, given));
    }
    return Definition::kThere;
  }
  if (existing.error().code() != Code::kNotFound) return fail(existing.error());
  const json::object identifier{
      {"publisher", upload.publisher}, {"offer", upload.offer}, {"sku", or_default(upload.sku, upload.name)}};
  const json::object body{
      {"location", location},
      {"properties", json::object{{"osType", capitalized(or_default(upload.os_type, "linux"))},
                                  {"osState", capitalized(or_default(upload.os_state, "generalized"))},
                                  {"hyperVGeneration", "V1"},
                                  {"identifier", identifier}}}};
  TRY(change(service, "PUT", id, &body, Wait::kUntilDone));
  return Definition::kMade;
}

Result<std::string> version_to_make(Service& service, const ImageUpload& upload, const std::string& definition) {
  const json::object body = TRY(service.arm->list(definition + "/versions"));
  const json::array& versions = body.at("value").get_array();
  if (upload.version.empty()) return next_version(versions);
  for (const json::value& each : versions) {
    if (!each.is_object() || string_at(each.get_object(), "name") != upload.version) continue;
    if (string_at(each.get_object(), "properties.provisioningState") == "Failed") continue;
    return fail(Code::kAlreadyExists, fmt::format("The image '{}' has a version {} already; versions never change.",
                                                  upload.name, upload.version));
  }
  return upload.version;
}

// What only served the upload. That it stays is no failure of what was asked for.
void remove_quietly(Service& service, const std::string& id) {
  const auto removed = change(service, "DELETE", id, nullptr, Wait::kUntilDone);
  if (removed) return;
  print_message(fmt::format("Note: '{}' was not removed: {}", last_segment(id), removed.error().message()));
}

json::object version_body(const ImageUpload& upload, const std::string& location, const std::string& disk_id) {
  json::array regions;
  for (const std::string& region : upload.regions) regions.push_back(json::object{{"name", region}});
  if (regions.empty()) regions.push_back(json::object{{"name", location}});
  return {{"location", location},
          {"properties",
           json::object{{"publishingProfile", json::object{{"targetRegions", std::move(regions)}}},
                        {"storageProfile",
                         json::object{{"osDiskImage", json::object{{"source", json::object{{"id", disk_id}}}}}}}}}};
}

}  // namespace

std::string image_id_in(const std::string& gallery_id, const std::string& name) {
  return name.starts_with('/') ? name : fmt::format("{}/images/{}", gallery_id, net::percent_encode(name));
}

std::string next_version(const json::array& versions) {
  std::optional<Version> highest;
  bool has_failed = false;
  for (const json::value& each : versions) {
    if (!each.is_object()) continue;
    const auto version = parse_version(string_at(each.get_object(), "name"));
    if (!version || (highest && *version <= *highest)) continue;
    highest = version;
    has_failed = string_at(each.get_object(), "properties.provisioningState") == "Failed";
  }
  if (!highest) return "1.0.0";
  if (!has_failed) ++(*highest)[2];
  return fmt::format("{}.{}.{}", (*highest)[0], (*highest)[1], (*highest)[2]);
}

Result<json::object> upload_image(Service& service, const ImageUpload& upload) {
  TRY(upload_disk_name(upload.file, ""));  // a file that is not there fails before anything is made for it
  const std::string gallery = TRY(find_id(service, kGallery, upload.gallery));
  const std::string location = TRY(location_of(service, gallery));
  const std::string definition = image_id_in(gallery, upload.name);
  const Definition is_new = TRY(ensure_definition(service, upload, definition, location));
  const std::string version = TRY(version_to_make(service, upload, definition));
  const std::string group = gallery.substr(0, gallery.find("/providers/"));
  const std::string disk_name =
      TRY(upload_disk_name(upload.file, fmt::format("{}-{}", last_segment(definition), version)));
  const DiskUpload disk{.file = upload.file,
                        .disk_id = fmt::format("{}/providers/Microsoft.Compute/disks/{}", group, disk_name),
                        .location = location};
  TRY(upload_disk(service, disk));
  const json::object body = version_body(upload, location, disk.disk_id);
  const std::string version_id = fmt::format("{}/versions/{}", definition, version);
  auto made = put_resource(service, version_id, body, upload.no_wait ? Wait::kNot : Wait::kUntilDone);
  // A detached or unfinished import still reads the disk; one that is refused or done has no more use for it.
  const bool is_refused = !made && made.error().code() == Code::kInvalidArgument;
  if (is_refused || (made && !upload.no_wait)) remove_quietly(service, disk.disk_id);
  if (is_refused && is_new == Definition::kMade) remove_quietly(service, definition);
  return made;
}

}  // namespace atelier::cli
