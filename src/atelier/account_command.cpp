#include "atelier/account_command.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>

#include "atelier/service.h"

namespace atelier::cli {
namespace {

struct Arguments {
  std::string name;
  std::string location;
  std::string gallery;
  std::string image;
  bool is_sure = false;
};

std::string attached_gallery(const json::object& account) {
  const std::string id = string_at(account, "properties.sharedGalleryId");
  return id.empty() ? "" : last_segment(id);
}

Status print_account(const Service& service, const json::object& account) {
  return print_resource(service, account,
                        {{"Name", string_at(account, "name")},
                         {"Location", string_at(account, "location")},
                         {"State", string_at(account, "properties.provisioningState")},
                         {"Gallery", attached_gallery(account)},
                         {"Id", string_at(account, "id")}});
}

Status list(Service& service) {
  const json::object accounts = TRY(list_of(service, kAccount));
  return print_list(service, accounts, {"NAME", "LOCATION", "STATE", "GALLERY"}, [](const json::object& each) {
    return std::vector{string_at(each, "name"), string_at(each, "location"),
                       string_at(each, "properties.provisioningState"), attached_gallery(each)};
  });
}

Status show(Service& service, const Arguments& arguments) {
  return print_account(service, TRY(get_named(service, kAccount, arguments.name)));
}

Status create(Service& service, const Arguments& arguments) {
  const std::string location = TRY(place_of_new(service, arguments.location));
  json::object body{{"location", location}, {"properties", json::object{}}};
  if (!arguments.gallery.empty()) {
    const std::string gallery = TRY(find_id(service, kGallery, arguments.gallery));
    set_at(body, "properties.sharedGalleryId", json::value(gallery));
  }
  const std::string id = TRY(new_id(service, kAccount, arguments.name));
  return print_account(service, TRY(put_resource(service, id, body, Wait::kUntilDone)));
}

// null detaches.
Status set_gallery(Service& service, const Arguments& arguments, json::value gallery_id) {
  const std::string id = TRY(find_id(service, kAccount, arguments.name));
  const json::object body{{"properties", json::object{{"sharedGalleryId", std::move(gallery_id)}}}};
  TRY(change(service, "PATCH", id, &body, Wait::kUntilDone));
  return print_account(service, TRY(service.arm->get(id)));
}

Status attach(Service& service, const Arguments& arguments) {
  return set_gallery(service, arguments, json::value(TRY(find_id(service, kGallery, arguments.gallery))));
}

Status list_images(Service& service, const Arguments& arguments) {
  const std::string id = TRY(find_id(service, kAccount, arguments.name));
  const json::object images = TRY(service.arm->list(id + "/images"));
  return print_list(service, images, {"NAME", "ENABLED", "OS", "OS STATE", "VERSION"}, [](const json::object& each) {
    return std::vector{string_at(each, "name"), string_at(each, "properties.enabledState"),
                       string_at(each, "properties.osType"), string_at(each, "properties.osState"),
                       string_at(each, "properties.version")};
  });
}

Status set_enabled(Service& service, const Arguments& arguments, std::string_view state) {
  const std::string account = TRY(find_id(service, kAccount, arguments.name));
  const std::string id = fmt::format("{}/images/{}", account, net::percent_encode(arguments.image));
  const json::object body{{"properties", json::object{{"enabledState", state}}}};
  const ArmAnswer answer = TRY(service.arm->call("PATCH", id, &body));
  return print_resource(
      service, answer.body,
      {{"Name", string_at(answer.body, "name")}, {"Enabled", string_at(answer.body, "properties.enabledState")}});
}

void add_images_commands(CLI::App& group, Program& program, const ClientOptions& options,
                         const std::shared_ptr<Arguments>& arguments) {
  CLI::App* const images = group.add_subcommand("images", "The images of the attached gallery");
  images->require_subcommand(1);
  const auto add = [&](const char* name, const char* what) {
    CLI::App* const sub = images->add_subcommand(name, what);
    sub->add_option("ACCOUNT", arguments->name, "The lab account's name or id")->required();
    return sub;
  };
  set_command(*add("list", "List them")->alias("ls"), program, options,
              [arguments](Service& service) { return list_images(service, *arguments); });
  CLI::App* const enable = add("enable", "Let labs be made from an image");
  enable->add_option("IMAGE", arguments->image, "The image's name")->required();
  set_command(*enable, program, options,
              [arguments](Service& service) { return set_enabled(service, *arguments, "Enabled"); });
  CLI::App* const disable = add("disable", "Let no new labs be made from an image");
  disable->add_option("IMAGE", arguments->image, "The image's name")->required();
  set_command(*disable, program, options,
              [arguments](Service& service) { return set_enabled(service, *arguments, "Disabled"); });
}

}  // namespace

void add_account_commands(CLI::App& app, Program& program, const ClientOptions& options) {
  CLI::App* const group = app.add_subcommand("account", "Lab accounts, which hold labs and attach a gallery");
  group->require_subcommand(1);
  const auto arguments = std::make_shared<Arguments>();
  const auto add = [&](const char* name, const char* what) {
    CLI::App* const sub = group->add_subcommand(name, what);
    sub->add_option("NAME", arguments->name, "Its name or its id")->required();
    return sub;
  };
  set_command(*group->add_subcommand("list", "List them")->alias("ls"), program, options, list);
  set_command(*add("show", "Show one"), program, options,
              [arguments](Service& service) { return show(service, *arguments); });
  CLI::App* const create_command = add("create", "Make one");
  create_command->add_option("-l,--location,--region", arguments->location, "By default the resource group's");
  create_command->add_option("--gallery", arguments->gallery, "A gallery to attach");
  set_command(*create_command, program, options, [arguments](Service& service) { return create(service, *arguments); });
  CLI::App* const attach_command = add("attach", "Attach a gallery in place of the one that is");
  attach_command->add_option("--gallery", arguments->gallery, "Its name or its id")->required();
  set_command(*attach_command, program, options, [arguments](Service& service) { return attach(service, *arguments); });
  set_command(*add("detach", "Detach the gallery; its images stay"), program, options,
              [arguments](Service& service) { return set_gallery(service, *arguments, nullptr); });
  CLI::App* const delete_command = add("delete", "Delete one")->alias("rm");
  delete_command->add_flag("-y,--yes", arguments->is_sure, "Do not ask");
  set_command(*delete_command, program, options, [arguments](Service& service) -> Status {
    return delete_resource(service, TRY(find_id(service, kAccount, arguments->name)), {.is_sure = arguments->is_sure});
  });
  add_images_commands(*group, program, options, arguments);
}

}  // namespace atelier::cli
