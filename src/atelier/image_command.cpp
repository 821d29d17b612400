#include "atelier/image_command.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "atelier/image_upload.h"
#include "atelier/service.h"

namespace atelier::cli {
namespace {

struct Arguments {
  std::string gallery;
  std::string name;
  std::string version;
};

Status list(Service& service, const Arguments& arguments) {
  const std::string gallery = TRY(find_id(service, kGallery, arguments.gallery));
  const json::object images = TRY(service.arm->list(gallery + "/images"));
  return print_list(service, images, {"NAME", "OS", "OS STATE", "PROVISIONING", "GALLERY"},
                    [&](const json::object& each) {
                      return std::vector{string_at(each, "name"), string_at(each, "properties.osType"),
                                         string_at(each, "properties.osState"),
                                         string_at(each, "properties.provisioningState"), last_segment(gallery)};
                    });
}

// "japaneast Completed 100%, japanwest Replicating 40%"
std::string replicas_of(const json::object& version) {
  const json::value* summary = atelier::find(version, "properties.replicationStatus.summary");
  std::string text;
  if (!summary || !summary->is_array()) return text;
  for (const json::value& each : summary->get_array()) {
    if (!each.is_object()) continue;
    const json::object& region = each.get_object();
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", string_at(region, "region"), string_at(region, "state"));
    if (string_at(region, "state") == "Replicating") text += fmt::format(" {}%", int_at(region, "progress"));
  }
  return text;
}

Status show_version(Service& service, const std::string& definition, const std::string& version) {
  const json::object body = TRY(service.arm->get(
      fmt::format("{}/versions/{}?$expand=ReplicationStatus", definition, net::percent_encode(version))));
  return print_resource(service, body,
                        {{"Version", string_at(body, "name")},
                         {"State", string_at(body, "properties.provisioningState")},
                         {"Published", string_at(body, "properties.publishingProfile.publishedDate")},
                         {"Regions", replicas_of(body)},
                         {"Consistency", string_at(body, "properties.atelier.consistencyMode")},
                         {"Id", string_at(body, "id")}});
}

// A list of versions does not say where they are: that is asked of each, for the last few.
Result<json::object> with_replicas(Service& service, const json::object& versions) {
  constexpr std::size_t kAskedMax = 20;
  json::array all = versions.at("value").get_array();
  for (std::size_t i = all.size() - std::min(all.size(), kAskedMax); i < all.size(); ++i) {
    if (!all[i].is_object()) continue;
    const std::string id = string_at(all[i].get_object(), "id");
    all[i] = TRY(service.arm->get(id + "?$expand=ReplicationStatus"));
  }
  return json::object{{"value", std::move(all)}};
}

Status show(Service& service, const Arguments& arguments) {
  const std::string gallery = TRY(find_id(service, kGallery, arguments.gallery));
  const std::string definition = image_id_in(gallery, arguments.name);
  if (!arguments.version.empty()) return show_version(service, definition, arguments.version);
  const json::object body = TRY(service.arm->get(definition));
  TRY(print_resource(service, body,
                     {{"Name", string_at(body, "name")},
                      {"Description", string_at(body, "properties.description")},
                      {"OS", string_at(body, "properties.osType")},
                      {"OS state", string_at(body, "properties.osState")},
                      {"State", string_at(body, "properties.provisioningState")},
                      {"Id", string_at(body, "id")}}));
  if (service.output == OutputFormat::kJson) return {};
  const json::object listed = TRY(service.arm->list(definition + "/versions"));
  const json::object versions = TRY(with_replicas(service, listed));
  print_line("");
  return print_list(service, versions, {"VERSION", "STATE", "PUBLISHED", "REGIONS"}, [](const json::object& each) {
    return std::vector{string_at(each, "name"), string_at(each, "properties.provisioningState"),
                       string_at(each, "properties.publishingProfile.publishedDate"), replicas_of(each)};
  });
}

Status upload(Service& service, const ImageUpload& upload) {
  const json::object version = TRY(upload_image(service, upload));
  return print_resource(service, version,
                        {{"Version", string_at(version, "name")},
                         {"State", string_at(version, "properties.provisioningState")},
                         {"Id", string_at(version, "id")}});
}

void add_upload_command(CLI::App& group, Program& program, const ClientOptions& options) {
  const auto arguments = std::make_shared<ImageUpload>();
  CLI::App* const sub =
      group.add_subcommand("upload", "Make an image version of a disk file: raw, qcow2, VHD, VHDX, VMDK or VDI");
  sub->add_option("FILE", arguments->file, "The disk file")->required();
  sub->add_option("--gallery", arguments->gallery, "The gallery; by default the only one");
  sub->add_option("--name", arguments->name, "The image's name; made if there is none")->required();
  sub->add_option("--version", arguments->version, "Major.Minor.Patch; by default the next one");
  sub->add_option("--os-state", arguments->os_state, "generalized (by default) or specialized, of a new image")
      ->check(CLI::IsMember({"generalized", "specialized"}, CLI::ignore_case));
  sub->add_option("--os-type", arguments->os_type, "linux (by default) or windows, of a new image")
      ->check(CLI::IsMember({"linux", "windows"}, CLI::ignore_case));
  sub->add_option("--region", arguments->regions, "Where it is kept, again for more; by default the gallery's");
  sub->add_option("--publisher", arguments->publisher, "Of a new image");
  sub->add_option("--offer", arguments->offer, "Of a new image");
  sub->add_option("--sku", arguments->sku, "Of a new image; by default its name");
  sub->add_flag("--no-wait", arguments->no_wait, "Upload, but do not wait for the version to be made");
  set_command(*sub, program, options, [arguments](Service& service) { return upload(service, *arguments); });
}

}  // namespace

void add_image_commands(CLI::App& app, Program& program, const ClientOptions& options) {
  CLI::App* const group = app.add_subcommand("image", "Images of a gallery and their versions");
  group->require_subcommand(1);
  const auto arguments = std::make_shared<Arguments>();
  const auto add = [&](const char* name, const char* what) {
    CLI::App* const sub = group->add_subcommand(name, what);
    sub->add_option("--gallery", arguments->gallery, "The gallery; by default the only one");
    return sub;
  };
  set_command(*add("list", "List them")->alias("ls"), program, options,
              [arguments](Service& service) { return list(service, *arguments); });
  CLI::App* const show_command = add("show", "Show one with its versions and where they are");
  show_command->add_option("NAME", arguments->name, "Its name or its id")->required();
  show_command->add_option("--version", arguments->version, "Only this version");
  set_command(*show_command, program, options, [arguments](Service& service) { return show(service, *arguments); });
  add_upload_command(*group, program, options);
}

}  // namespace atelier::cli
