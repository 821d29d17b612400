#include "atelier/gallery_command.h"

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
  std::string description;
  bool is_sure = false;
};

Status print_gallery(const Service& service, const json::object& gallery) {
  return print_resource(service, gallery,
                        {{"Name", string_at(gallery, "name")},
                         {"Location", string_at(gallery, "location")},
                         {"State", string_at(gallery, "properties.provisioningState")},
                         {"Description", string_at(gallery, "properties.description")},
                         {"Id", string_at(gallery, "id")}});
}

Status list(Service& service) {
  const json::object galleries = TRY(list_of(service, kGallery));
  return print_list(service, galleries, {"NAME", "LOCATION", "STATE", "DESCRIPTION"}, [](const json::object& each) {
    return std::vector{string_at(each, "name"), string_at(each, "location"),
                       string_at(each, "properties.provisioningState"), string_at(each, "properties.description")};
  });
}

Status show(Service& service, const Arguments& arguments) {
  return print_gallery(service, TRY(get_named(service, kGallery, arguments.name)));
}

Status create(Service& service, const Arguments& arguments) {
  const std::string location = TRY(place_of_new(service, arguments.location));
  json::object body{{"location", location}, {"properties", json::object{}}};
  if (!arguments.description.empty()) set_at(body, "properties.description", json::value(arguments.description));
  const std::string id = TRY(new_id(service, kGallery, arguments.name));
  return print_gallery(service, TRY(put_resource(service, id, body, Wait::kUntilDone)));
}

}  // namespace

void add_gallery_commands(CLI::App& app, Program& program, const ClientOptions& options) {
  CLI::App* const group = app.add_subcommand("gallery", "Galleries, which hold images for all labs");
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
  create_command->add_option("--description", arguments->description, "For people");
  set_command(*create_command, program, options, [arguments](Service& service) { return create(service, *arguments); });
  CLI::App* const delete_command = add("delete", "Delete an empty one")->alias("rm");
  delete_command->add_flag("-y,--yes", arguments->is_sure, "Do not ask");
  set_command(*delete_command, program, options, [arguments](Service& service) -> Status {
    return delete_resource(service, TRY(find_id(service, kGallery, arguments->name)), {.is_sure = arguments->is_sure});
  });
}

}  // namespace atelier::cli
