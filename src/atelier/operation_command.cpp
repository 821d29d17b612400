#include "atelier/operation_command.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>

#include "atelier/operation_progress.h"
#include "atelier/service.h"

namespace atelier::cli {
namespace {

struct Arguments {
  std::string id;
  bool is_unfinished_only = false;
};

Result<std::string> results_path(Service& service) {
  return TRY(service.arm->subscription())
  +"/providers/Microsoft.LabServices/operationResults";
}

Result<std::string> operation_path(Service& service, const Arguments& arguments) {
  return TRY(results_path(service))
  +"/" + net::percent_encode(arguments.id);
}

std::string percent_of(const json::object& status) {
  const json::value* value = atelier::find(status, "percentComplete");
  return value && value->is_number() ? fmt::format("{:.0f}%", value->to_number<double>()) : "";
}

Status list(Service& service, const Arguments& arguments) {
  std::string path = TRY(results_path(service));
  if (arguments.is_unfinished_only) path += "?$filter=status%20eq%20%27InProgress%27";
  const json::object operations = TRY(service.arm->list(path));
  return print_list(
      service, operations, {"ID", "KIND", "STATUS", "DONE", "STARTED", "TARGET"}, [](const json::object& each) {
        return std::vector{string_at(each, "name"),      string_at(each, "properties.kind"),
                           string_at(each, "status"),    percent_of(each),
                           string_at(each, "startTime"), last_segment(string_at(each, "properties.targetId"))};
      });
}

Status print_operation(const Service& service, const json::object& status) {
  const std::string error =
      string_at(status, "error.code").empty()
          ? ""
          : fmt::format("({}) {}", string_at(status, "error.code"), string_at(status, "error.message"));
  return print_resource(service, status,
                        {{"Id", string_at(status, "name")},
                         {"Kind", string_at(status, "properties.kind")},
                         {"Status", string_at(status, "status")},
                         {"Progress", progress_line(status)},
                         {"Error", error},
                         {"Started", string_at(status, "startTime")},
                         {"Ended", string_at(status, "endTime")},
                         {"By", string_at(status, "properties.createdBy")},
                         {"Target", string_at(status, "properties.targetId")},
                         {"Resource", string_at(status, "properties.resourceId")}});
}

Status show(Service& service, const Arguments& arguments) {
  const std::string path = TRY(operation_path(service, arguments));
  return print_operation(service, TRY(service.arm->get(path)));
}

Status wait(Service& service, const Arguments& arguments) {
  const std::string path = TRY(operation_path(service, arguments));
  return print_operation(service, TRY(follow_operation(*service.arm, path, service.options)));
}

Status cancel(Service& service, const Arguments& arguments) {
  const std::string path = TRY(operation_path(service, arguments));
  TRY(service.arm->call("POST", path + "/cancel"));
  return print_operation(service, TRY(service.arm->get(path)));
}

}  // namespace

void add_operation_commands(CLI::App& app, Program& program, const ClientOptions& options) {
  CLI::App* const group = app.add_subcommand("operation", "Long operations, running and past");
  group->require_subcommand(1);
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const list_command = group->add_subcommand("list", "List them, newest first")->alias("ls");
  list_command->add_flag("--unfinished", arguments->is_unfinished_only, "Only those that still run");
  set_command(*list_command, program, options, [arguments](Service& service) { return list(service, *arguments); });
  const auto add = [&](const char* name, const char* what, Status (*command)(Service&, const Arguments&)) {
    CLI::App* const sub = group->add_subcommand(name, what);
    sub->add_option("ID", arguments->id, "The operation's id")->required();
    set_command(*sub, program, options,
                [arguments, command](Service& service) { return command(service, *arguments); });
  };
  add("show", "Show one", show);
  add("wait", "Wait for one to end, with its progress", wait);
  add("cancel", "Ask one to stop", cancel);
}

}  // namespace atelier::cli
