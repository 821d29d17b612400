#include "atelier/group_command.h"

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
  bool is_sure = false;
};

Result<std::string> group_id(Service& service, const std::string& name) {
  return fmt::format("{}/resourcegroups/{}", TRY(service.arm->subscription()), net::percent_encode(name));
}

Status list(Service& service) {
  const std::string subscription = TRY(service.arm->subscription());
  const json::object groups = TRY(service.arm->list(subscription + "/resourcegroups"));
  return print_list(service, groups, {"NAME", "LOCATION"}, [](const json::object& group) {
    return std::vector{string_at(group, "name"), string_at(group, "location")};
  });
}

Status create(Service& service, const Arguments& arguments) {
  const json::object body{{"location", arguments.location}};
  const std::string id = TRY(group_id(service, arguments.name));
  const json::object made = TRY(put_resource(service, id, body, Wait::kUntilDone));
  return print_resource(service, made, {{"Name", string_at(made, "name")}, {"Location", string_at(made, "location")}});
}

}  // namespace

void add_group_commands(CLI::App& app, Program& program, const ClientOptions& options) {
  CLI::App* const group = app.add_subcommand("group", "Resource groups, which hold everything else");
  group->require_subcommand(1);
  const auto arguments = std::make_shared<Arguments>();
  set_command(*group->add_subcommand("list", "List them")->alias("ls"), program, options, list);
  CLI::App* const create_command = group->add_subcommand("create", "Make one");
  create_command->add_option("NAME", arguments->name, "Its name")->required();
  create_command->add_option("-l,--location,--region", arguments->location, "A region, e.g. japaneast")->required();
  set_command(*create_command, program, options, [arguments](Service& service) { return create(service, *arguments); });
  CLI::App* const delete_command = group->add_subcommand("delete", "Delete one with all in it")->alias("rm");
  delete_command->add_option("NAME", arguments->name, "Its name")->required();
  delete_command->add_flag("-y,--yes", arguments->is_sure, "Do not ask");
  set_command(*delete_command, program, options, [arguments](Service& service) -> Status {
    return delete_resource(service, TRY(group_id(service, arguments->name)), {.is_sure = arguments->is_sure});
  });
}

}  // namespace atelier::cli
