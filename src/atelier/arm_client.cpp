#include "atelier/arm_client.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "atelier/command.h"
#include "base/text.h"

namespace atelier::cli {
namespace {

constexpr std::string_view kTokenPath = "/adfs/oauth2/token";
constexpr std::string_view kClientId = "atelier-cli";
constexpr std::size_t kPagesMax = 1000;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

std::string first_of(const std::string& a, const std::string& b, const std::string& c = {}) {
  if (!a.empty()) return a;
  return b.empty() ? c : b;
}

std::string_view api_version_of(std::string_view target) {
  const std::string path = to_lower(target.substr(0, target.find('?')));
  if (path.find("/microsoft.labservices/") != std::string::npos) return "2022-08-01";
  if (path.find("/microsoft.compute/disks") != std::string::npos) return "2022-07-02";
  if (path.find("/microsoft.compute/") != std::string::npos) return "2022-03-03";
  return "2021-04-01";
}

// Path and query of a URL or of a path.
std::string_view path_of(std::string_view target) {
  const std::size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) return target;
  const std::size_t slash = target.find('/', scheme + 3);
  return slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
}

std::string encode_spaces(std::string_view target) {
  std::string encoded;
  for (const char c : target) encoded += c == ' ' ? std::string("%20") : std::string(1, c);
  return encoded;
}

Code code_of(int status) {
  switch (status) {
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 409:
    case 412:
      return Code::kConflict;
    case 413:
      return Code::kTooLarge;
    case 429:
    case 503:
      return Code::kUnavailable;
    case 507:
      return Code::kResourceExhausted;
    default:
      return status < 500 ? Code::kInvalidArgument : Code::kInternal;
  }
}

}  // namespace

Error error_of(int status, const json::object& body) {
  std::string message = string_at(body, "error.message", fmt::format("The server answered with status {}.", status));
  if (status == 401) message += " Sign in with: atelier login.";
  Error error(code_of(status), printable(std::move(message)));
  return std::move(error)
      .with_reason(printable(string_at(body, "error.code")))
      .with_target(string_at(body, "error.target"));
}

Status request_token(net::HttpClient& http, const std::string& form, ClientConfig& config) {
  const net::Response answer =
      TRY(http.send({.method = "POST",
                     .url = config.server + std::string(kTokenPath),
                     .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                     .body = fmt::format("client_id={}&scope={}&{}", kClientId,
                                         net::percent_encode(config.server + "/.default"), form)}));
  const auto body = parse_json_object(answer.body);
  if (answer.status == 429 || answer.status >= 500) {
    return fail(Error(Code::kUnavailable, body ? string_at(*body, "error_description", "The service is busy.")
                                               : fmt::format("The service answered with status {}.", answer.status)));
  }
  if (!body || answer.status != 200) {
    const std::string words = body ? string_at(*body, "error_description") : "";
    return fail(Error(Code::kUnauthenticated, words.empty() ? "This is no sign-in service: check the URL." : words)
                    .with_reason(body ? string_at(*body, "error") : ""));
  }
  config.token = string_at(*body, "access_token");
  config.refresh_token = string_at(*body, "refresh_token");
  config.token_expires_at = now() + std::chrono::seconds(int_at(*body, "expires_in", 0));
  return {};
}

ArmClient::ArmClient(std::unique_ptr<net::HttpClient> http, ClientConfig config, std::string resource_group)
    : http_(std::move(http)), config_(std::move(config)), resource_group_name_(std::move(resource_group)) {}

Result<std::unique_ptr<ArmClient>> ArmClient::open(const ClientOptions& options) {
  ClientConfig config = TRY(load_config());
  const std::string kept_server = config.server;
  config.server = first_of(options.server, environment("ATELIER_SERVER"), config.server);
  config.ca_file = first_of(options.ca_file, environment("ATELIER_CA"), config.ca_file);
  while (config.server.ends_with('/')) config.server.pop_back();
  if (config.server != kept_server) config.token = config.refresh_token = "";  // belongs to the other server
  if (const std::string token = environment("ATELIER_TOKEN"); !token.empty()) {
    config.token = token;
    config.refresh_token.clear();
    config.token_expires_at = TimePoint::max();
  }
  if (config.server.empty() || config.token.empty()) {
    return fail(Code::kUnauthenticated,
                "You are not signed in. Sign in with: atelier login --server URL --ca FILE -u NAME.");
  }
  interrupt_token();  // before the first thread
  auto http = TRY(net::HttpClient::open({.ca_file = config.ca_file}));
  const std::string group =
      first_of(options.resource_group, environment("ATELIER_RESOURCE_GROUP"), config.resource_group);
  auto client = std::unique_ptr<ArmClient>(new ArmClient(std::move(http), std::move(config), group));
  if (client->config_.token_expires_at <= now()) TRY(client->refresh());
  return client;
}

Status ArmClient::refresh() {
  if (config_.refresh_token.empty()) {
    return fail(Code::kUnauthenticated, "Your sign-in has expired. Sign in again with: atelier login.");
  }
  const std::string form = "grant_type=refresh_token&refresh_token=" + net::percent_encode(config_.refresh_token);
  const Status refreshed = request_token(*http_, form, config_);
  if (!refreshed && refreshed.error().code() == Code::kUnauthenticated) {
    return fail(Code::kUnauthenticated, "Your sign-in has expired. Sign in again with: atelier login.");
  }
  TRY(Status(refreshed));
  return save_config(config_);
}

Result<net::Response> ArmClient::send(std::string_view method, std::string_view target, const json::object* body) {
  std::string path = encode_spaces(path_of(target));
  if (path.find("api-version=") == std::string::npos) {
    path += fmt::format("{}api-version={}", path.find('?') == std::string::npos ? '?' : '&', api_version_of(path));
  }
  net::Request request{.method = std::string(method), .url = config_.server + path, .bearer = config_.token};
  request.stop = interrupt_token();
  if (body) {
    request.body = to_text(*body);
    request.headers.emplace_back("Content-Type", "application/json");
  }
  return http_->send(request);
}

Result<ArmAnswer> ArmClient::call(std::string_view method, std::string_view target, const json::object* body) {
  net::Response answer = TRY(send(method, target, body));
  if (answer.status == 401 && !config_.refresh_token.empty()) {
    TRY(refresh());
    answer = TRY(send(method, target, body));
  }
  ArmAnswer given{.status = answer.status, .body = {}};
  if (!answer.body.empty()) {
    auto parsed = parse_json_object(answer.body, {.bytes_max = 16 << 20});
    if (!parsed && answer.status < 400) {
      return fail(Code::kUnavailable, "The answer is not the API's. Check the server's URL.");
    }
    if (parsed) given.body = std::move(*parsed);
  }
  if (answer.status >= 400) return fail(error_of(answer.status, given.body));
  given.operation_url = answer.header("Azure-AsyncOperation");
  given.location = answer.header("Location");
  return given;
}

Result<json::object> ArmClient::get(std::string_view target) {
  ArmAnswer answer = TRY(call("GET", target));
  return std::move(answer.body);
}

Result<json::object> ArmClient::list(std::string_view target) {
  json::array all;
  std::string next(target);
  for (std::size_t page = 0; !next.empty(); ++page) {
    if (page == kPagesMax) return fail(Code::kTooLarge, "The list does not end.");
    const json::object body = TRY(get(next));
    if (const json::value* value = atelier::find(body, "value"); value && value->is_array()) {
      for (const json::value& item : value->get_array()) all.push_back(item);
    }
    next = string_at(body, "nextLink");
  }
  return json::object{{"value", std::move(all)}};
}

Result<net::Response> ArmClient::send_signed(net::Request request) {
  request.url = config_.server + encode_spaces(path_of(request.url));
  request.stop = interrupt_token();
  return http_->send(request);
}

Result<std::string> ArmClient::subscription() {
  if (subscription_.empty()) {
    const json::object body = TRY(list("/subscriptions"));
    const json::array& all = body.at("value").get_array();
    if (all.empty() || !all[0].is_object()) return fail(Code::kNotFound, "You have no subscription on this service.");
    subscription_ = string_at(all[0].get_object(), "id");
  }
  return subscription_;
}

Result<std::string> ArmClient::resource_group() {
  const std::string base = TRY(subscription());
  if (!resource_group_name_.empty()) return fmt::format("{}/resourceGroups/{}", base, resource_group_name_);
  const json::object body = TRY(list(base + "/resourcegroups"));
  const json::array& all = body.at("value").get_array();
  if (all.size() == 1 && all[0].is_object()) return string_at(all[0].get_object(), "id");
  return fail(Code::kInvalidArgument, all.empty()
                                          ? "There is no resource group yet. Make one: atelier group create NAME."
                                          : "There are several resource groups. Name one: --resource-group NAME.");
}

}  // namespace atelier::cli
