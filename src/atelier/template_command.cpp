#include "atelier/template_command.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>

#include "atelier/service.h"
#include "base/text.h"

namespace atelier::cli {
namespace {

struct Arguments {
  std::string lab;
  std::string name;
  std::string account;
  bool no_wait = false;

  Wait wait() const { return no_wait ? Wait::kNot : Wait::kUntilDone; }
};

Result<std::string> template_id(Service& service, const Arguments& arguments) {
  return TRY(find_id(service, kLab, arguments.lab))
  +"/virtualMachines/0";
}

Status print_template(Service& service, const std::string& id) {
  const json::object machine = TRY(service.arm->get(id));
  return print_resource(service, machine,
                        {{"State", string_at(machine, "properties.state")},
                         {"User", string_at(machine, "properties.connectionProfile.adminUsername")},
                         {"SSH", string_at(machine, "properties.connectionProfile.sshAuthority")},
                         {"Id", string_at(machine, "id")}});
}

Status show(Service& service, const Arguments& arguments) {
  return print_template(service, TRY(template_id(service, arguments)));
}

Status act(Service& service, const Arguments& arguments, std::string_view action) {
  const std::string id = TRY(template_id(service, arguments));
  TRY(change(service, "POST", fmt::format("{}/{}", id, action), nullptr, arguments.wait()));
  if (arguments.wait() == Wait::kNot) return {};
  return print_template(service, id);
}

Status print_exported(Service& service, const json::object& status) {
  const std::string version_id = string_at(status, "properties.resourceId");
  if (service.output == OutputFormat::kJson || version_id.empty()) {
    print_json(status);
    return {};
  }
  const std::string definition = version_id.substr(0, version_id.rfind("/versions/"));
  const auto bytes = [&](std::string_view name) {
    return to_human_bytes(uint_at(status, fmt::format("properties.progress.{}", name)));
  };
  return print_resource(service, status,
                        {{"Image", last_segment(definition)},
                         {"Version", last_segment(version_id)},
                         {"New", bytes("newBytes")},
                         {"Known already", bytes("knownBytes")},
                         {"Consistency", string_at(status, "properties.consistencyMode")},
                         {"Id", version_id}});
}

Status export_image(Service& service, const Arguments& arguments) {
  const std::string lab_id = TRY(find_id(service, kLab, arguments.lab));
  const std::string account = arguments.account.empty()
                                  ? string_at(TRY(service.arm->get(lab_id)), "properties.labPlanId")
                                  : TRY(find_id(service, kAccount, arguments.account));
  const json::object body{{"name", arguments.name}, {"labVirtualMachineId", lab_id + "/virtualMachines/0"}};
  const auto status = TRY(change(service, "POST", account + "/saveImage", &body, arguments.wait()));
  if (!status) return {};
  return print_exported(service, *status);
}

}  // namespace

void add_template_commands(CLI::App& app, Program& program, const ClientOptions& options) {
  CLI::App* const group = app.add_subcommand("template", "A lab's template VM");
  group->require_subcommand(1);
  const auto arguments = std::make_shared<Arguments>();
  const auto add = [&](const char* name, const char* what) {
    CLI::App* const sub = group->add_subcommand(name, what);
    sub->add_option("LAB", arguments->lab, "The lab's name or id")->required();
    return sub;
  };
  set_command(*add("show", "Show its state and where it is reached"), program, options,
              [arguments](Service& service) { return show(service, *arguments); });
  for (const char* action : {"start", "stop"}) {
    CLI::App* const sub = add(action, std::string_view(action) == "start" ? "Start it" : "Shut it down");
    sub->add_flag("--no-wait", arguments->no_wait, "Do not wait for the end");
    set_command(*sub, program, options,
                [arguments, action](Service& service) { return act(service, *arguments, action); });
  }
  CLI::App* const export_command =
      add("export", "Export it to the shared image gallery, stopped or as it is at one moment while it runs");
  export_command->add_option("--name", arguments->name, "The image's name")->required();
  export_command->add_option("--account", arguments->account, "By default the lab's own");
  export_command->add_flag("--no-wait", arguments->no_wait, "Do not wait for the end");
  set_command(*export_command, program, options,
              [arguments](Service& service) { return export_image(service, *arguments); });
}

}  // namespace atelier::cli
