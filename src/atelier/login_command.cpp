#include "atelier/login_command.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "atelier/arm_client.h"
#include "atelier/client_config.h"
#include "atelier/service.h"
#include "net/http_client.h"

namespace atelier::cli {
namespace {

struct Arguments {
  std::string user;
  std::string password;
};

std::string environment_or(const char* name, const std::string& fallback) {
  const char* const value = std::getenv(name);
  return value && *value ? std::string(value) : fallback;
}

Status login(const Arguments& arguments, const ClientOptions& options) {
  ClientConfig config;
  if (const auto kept = load_config()) config = *kept;
  const std::string kept_server = config.server;
  config.server = options.server.empty() ? environment_or("ATELIER_SERVER", config.server) : options.server;
  while (config.server.ends_with('/')) config.server.pop_back();
  if (config.server != kept_server) config.resource_group.clear();
  const std::string ca_file = options.ca_file.empty() ? environment_or("ATELIER_CA", config.ca_file) : options.ca_file;
  config.ca_file = ca_file.empty() ? "" : std::filesystem::absolute(ca_file).string();
  if (!options.resource_group.empty()) config.resource_group = options.resource_group;
  if (config.server.empty()) {
    return fail(Code::kInvalidArgument, "Which service? Name it: atelier login --server URL --ca FILE -u NAME.");
  }
  config.user_name = arguments.user;
  const std::string password =
      TRY(password_or_prompt(arguments.password, "Password of " + arguments.user, PasswordSource::kEnvironmentToo));
  const auto http = TRY(net::HttpClient::open({.ca_file = config.ca_file}));
  const std::string form = fmt::format("grant_type=password&username={}&password={}",
                                       net::percent_encode(arguments.user), net::percent_encode(password));
  TRY(request_token(*http, form, config));
  TRY(save_config(config));
  print_message(fmt::format("Signed in to {} as {}.", config.server, config.user_name));
  return {};
}

Status logout() {
  ClientConfig config = TRY(load_config());
  config.token.clear();
  config.refresh_token.clear();
  return save_config(config);
}

}  // namespace

void add_login_commands(CLI::App& app, Program& program, const ClientOptions& options) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const login_command = app.add_subcommand("login", "Sign in; server, CA and token are kept for later");
  login_command->add_option("-u,--user,--username", arguments->user, "Who you are")->required();
  login_command->add_option("-p,--password", arguments->password, "Or ATELIER_PASSWORD, or typed when asked");
  login_command->callback(
      [&program, &options, arguments] { program.run = [&options, arguments] { return login(*arguments, options); }; });
  CLI::App* const logout_command = app.add_subcommand("logout", "Forget the token");
  logout_command->callback([&program] { program.run = logout; });
}

}  // namespace atelier::cli
