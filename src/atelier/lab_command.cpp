#include "atelier/lab_command.h"

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
  std::string account;
  std::string image;
  std::string size = "Atelier_Tiny_1_512MB";
  std::string user;
  std::string password;
  std::string location;
  std::string title;
  bool is_sure = false;
  bool no_wait = false;

  Wait wait() const { return no_wait ? Wait::kNot : Wait::kUntilDone; }
};

std::string image_of(const json::object& lab) {
  const std::string id = string_at(lab, "properties.virtualMachineProfile.imageReference.id");
  return id.empty() ? string_at(lab, "properties.virtualMachineProfile.imageReference.sku") : last_segment(id);
}

Status print_lab(const Service& service, const json::object& lab) {
  return print_resource(service, lab,
                        {{"Name", string_at(lab, "name")},
                         {"Title", string_at(lab, "properties.title")},
                         {"State", string_at(lab, "properties.state")},
                         {"Provisioning", string_at(lab, "properties.provisioningState")},
                         {"Location", string_at(lab, "location")},
                         {"Account", last_segment(string_at(lab, "properties.labPlanId"))},
                         {"Image", image_of(lab)},
                         {"Size", string_at(lab, "properties.virtualMachineProfile.sku.name")},
                         {"User", string_at(lab, "properties.virtualMachineProfile.adminUser.username")},
                         {"Id", string_at(lab, "id")}});
}

Status list(Service& service) {
  const json::object labs = TRY(list_of(service, kLab));
  return print_list(service, labs, {"NAME", "STATE", "PROVISIONING", "LOCATION", "IMAGE", "TITLE"},
                    [](const json::object& each) {
                      return std::vector{string_at(each, "name"),
                                         string_at(each, "properties.state"),
                                         string_at(each, "properties.provisioningState"),
                                         string_at(each, "location"),
                                         image_of(each),
                                         string_at(each, "properties.title")};
                    });
}

Status show(Service& service, const Arguments& arguments) {
  return print_lab(service, TRY(get_named(service, kLab, arguments.name)));
}

// An image by its id, or by its name among the lab account's images.
Result<std::string> image_id(Service& service, const std::string& account, const std::string& image) {
  if (image.starts_with('/')) return image;
  const auto found = service.arm->get(fmt::format("{}/images/{}", account, net::percent_encode(image)));
  if (!found) return fail(found.error());
  return string_at(*found, "properties.sharedGalleryId");
}

Status create(Service& service, const Arguments& arguments) {
  const std::string account = TRY(find_id(service, kAccount, arguments.account));
  const std::string image = TRY(image_id(service, account, arguments.image));
  const std::string password = TRY(password_or_prompt(
      arguments.password, fmt::format("Password of {} in the lab", arguments.user), PasswordSource::kNoEnvironment));
  const std::string location = arguments.location.empty() ? TRY(location_of(service, account)) : arguments.location;
  const json::object machines{{"createOption", "TemplateVM"},
                              {"imageReference", json::object{{"id", image}}},
                              {"sku", json::object{{"name", arguments.size}, {"capacity", 1}}},
                              {"usageQuota", "PT10H"},
                              {"useSharedPassword", "Enabled"},
                              {"adminUser", json::object{{"username", arguments.user}, {"password", password}}}};
  const json::object body{
      {"location", location},
      {"properties", json::object{{"title", arguments.title.empty() ? arguments.name : arguments.title},
                                  {"labPlanId", account},
                                  {"virtualMachineProfile", machines}}}};
  const std::string id = TRY(new_id(service, kLab, arguments.name));
  return print_lab(service, TRY(put_resource(service, id, body, arguments.wait())));
}

}  // namespace

void add_lab_commands(CLI::App& app, Program& program, const ClientOptions& options) {
  CLI::App* const group = app.add_subcommand("lab", "Labs, each with a template VM");
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
  CLI::App* const create_command = add("create", "Make one and start its template VM");
  create_command->add_option("--account", arguments->account, "The lab account; by default the only one");
  create_command->add_option("--image", arguments->image, "One of the account's images, or an id")->required();
  create_command->add_option("--size", arguments->size, "The size of its virtual machines")
      ->default_str("Atelier_Tiny_1_512MB");
  create_command->add_option("--user", arguments->user, "The user of its virtual machines")->required();
  create_command->add_option("--password", arguments->password, "Typed when asked, if not given");
  create_command->add_option("-l,--location,--region", arguments->location, "By default the lab account's");
  create_command->add_option("--title", arguments->title, "For people; by default the name");
  create_command->add_flag("--no-wait", arguments->no_wait, "Do not wait for the end");
  set_command(*create_command, program, options, [arguments](Service& service) { return create(service, *arguments); });
  CLI::App* const delete_command = add("delete", "Delete one with its virtual machines")->alias("rm");
  delete_command->add_flag("-y,--yes", arguments->is_sure, "Do not ask");
  delete_command->add_flag("--no-wait", arguments->no_wait, "Do not wait for the end");
  set_command(*delete_command, program, options, [arguments](Service& service) -> Status {
    return delete_resource(service, TRY(find_id(service, kLab, arguments->name)),
                           {.is_sure = arguments->is_sure, .wait = arguments->wait()});
  });
}

}  // namespace atelier::cli
