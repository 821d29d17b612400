#include "atelier/service.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "atelier/operation_progress.h"
#include "base/text.h"

namespace atelier::cli {
namespace {

bool is_id(std::string_view name) { return to_lower(name.substr(0, 15)) == "/subscriptions/"; }

std::vector<json::object> items_of(const json::object& list) {
  std::vector<json::object> items;
  const json::value* value = atelier::find(list, "value");
  if (!value || !value->is_array()) return items;
  for (const json::value& item : value->get_array()) {
    if (item.is_object()) items.push_back(item.get_object());
  }
  return items;
}

// Switches the terminal's echo off for one line.
class NoEcho {
 public:
  NoEcho() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  ~NoEcho() { ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  termios before_{};
};

}  // namespace

void print_message(const std::string& text) { fmt::print(stderr, "{}\n", text); }

void set_command(CLI::App& sub, Program& program, const ClientOptions& options, ServiceCommand command) {
  sub.callback([&program, &options, command = std::move(command)] {
    program.run = [&program, &options, command]() -> Status {
      auto arm = TRY(ArmClient::open(options));
      Service service{.arm = std::move(arm), .options = options, .output = program.output};
      return command(service);
    };
  });
}

std::string last_segment(std::string_view id) { return std::string(id.substr(id.rfind('/') + 1)); }

Result<std::string> list_path(Service& service, const ResourceKind& kind) {
  const bool in_group = !service.options.resource_group.empty();
  const std::string scope = in_group ? TRY(service.arm->resource_group()) : TRY(service.arm->subscription());
  return fmt::format("{}/providers/{}", scope, kind.provider_type);
}

Result<std::string> find_id(Service& service, const ResourceKind& kind, const std::string& name) {
  if (is_id(name)) return name;
  const json::object list = TRY(list_of(service, kind));
  std::vector<std::string> found;
  for (const json::object& item : items_of(list)) {
    if (name.empty() || equals_ignoring_case(string_at(item, "name"), name)) found.push_back(string_at(item, "id"));
  }
  if (found.size() == 1) return found[0];
  const std::string shown = name.empty() ? std::string(kind.noun) : fmt::format("{} '{}'", kind.noun, name);
  if (found.empty()) return fail(Code::kNotFound, fmt::format("There is no {}. See: {}", shown, kind.command));
  std::string ids;
  for (const std::string& id : found) ids += "\n  " + id;
  return fail(Code::kInvalidArgument,
              fmt::format("There are {} of {}. Name one by its id:{}", found.size(), shown, ids));
}

Result<json::object> list_of(Service& service, const ResourceKind& kind) {
  const std::string path = TRY(list_path(service, kind));
  return service.arm->list(path);
}

Result<json::object> get_named(Service& service, const ResourceKind& kind, const std::string& name) {
  const std::string id = TRY(find_id(service, kind, name));
  return service.arm->get(id);
}

Result<std::string> new_id(Service& service, const ResourceKind& kind, const std::string& name) {
  if (is_id(name)) return name;
  return fmt::format("{}/providers/{}/{}", TRY(service.arm->resource_group()), kind.provider_type,
                     net::percent_encode(name));
}

Result<std::string> location_of(Service& service, const std::string& id) {
  return string_at(TRY(service.arm->get(id)), "location");
}

Result<std::string> group_location(Service& service) {
  const std::string id = TRY(service.arm->resource_group());
  return location_of(service, id);
}

Result<std::string> place_of_new(Service& service, const std::string& given) {
  if (given.empty()) return group_location(service);
  if (service.options.resource_group.empty()) return given;
  const std::string group = TRY(service.arm->resource_group());
  const auto found = service.arm->get(group);
  if (found || found.error().code() != Code::kNotFound) return given;
  const json::object body{{"location", given}};
  TRY(service.arm->call("PUT", group, &body));
  print_message(fmt::format("Made the resource group {}.", last_segment(group)));
  return given;
}

Result<std::optional<json::object>> change(Service& service, std::string_view method, const std::string& target,
                                           const json::object* body, Wait wait) {
  const ArmAnswer answer = TRY(service.arm->call(method, target, body));
  if (answer.operation_url.empty()) return std::nullopt;
  if (wait == Wait::kNot) {
    const std::string id = operation_id_of(answer.operation_url);
    print_message(fmt::format("Operation {} has begun. Follow it with: atelier operation wait {}", id, id));
    return std::nullopt;
  }
  return TRY(follow_operation(*service.arm, answer.operation_url, service.options));
}

Result<json::object> put_resource(Service& service, const std::string& id, const json::object& body, Wait wait) {
  TRY(change(service, "PUT", id, &body, wait));
  return service.arm->get(id);
}

Status delete_resource(Service& service, const std::string& id, DeleteOptions options) {
  if (!options.is_sure && ::isatty(STDIN_FILENO) == 1) {
    fmt::print(stderr, "Delete {} and all that belongs to it? [y/N] ", last_segment(id));
    std::string line;
    std::getline(std::cin, line);
    if (line != "y" && line != "Y") return fail(Code::kInvalidArgument, "Nothing was deleted.");
  }
  TRY(change(service, "DELETE", id, nullptr, options.wait));
  return {};
}

Status print_list(const Service& service, const json::object& list, std::vector<std::string> header,
                  const ToRow& to_row) {
  if (service.output == OutputFormat::kJson) {
    print_json(list);
    return {};
  }
  Table table{.header = std::move(header), .rows = {}};
  for (const json::object& item : items_of(list)) table.rows.push_back(to_row(item));
  print_table(table);
  return {};
}

Status print_resource(const Service& service, const json::object& body, const Fields& fields) {
  if (service.output == OutputFormat::kJson) {
    print_json(body);
    return {};
  }
  std::size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, name.size());
  for (const auto& [name, value] : fields) {
    if (!value.empty()) print_line(fmt::format("{:<{}}  {}", name, width, printable(value)));
  }
  return {};
}

Result<std::string> password_or_prompt(const std::string& given, std::string_view prompt, PasswordSource source) {
  if (!given.empty()) return given;
  const char* const kept = std::getenv("ATELIER_PASSWORD");
  if (source == PasswordSource::kEnvironmentToo && kept && *kept) return std::string(kept);
  if (::isatty(STDIN_FILENO) != 1) {
    return fail(Code::kInvalidArgument, source == PasswordSource::kEnvironmentToo
                                            ? "No password: use --password or ATELIER_PASSWORD."
                                            : "No password: use --password.");
  }
  fmt::print(stderr, "{}: ", prompt);
  std::string line;
  {
    const NoEcho quiet;
    std::getline(std::cin, line);
  }
  fmt::print(stderr, "\n");
  if (line.empty()) return fail(Code::kInvalidArgument, "The password is empty.");
  return line;
}

}  // namespace atelier::cli
