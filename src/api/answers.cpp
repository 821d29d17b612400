#include "api/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "api/api_versions.h"
#include "api/envelope.h"
#include "base/text.h"
#include "db/database.h"

namespace atelier::api {
namespace {

constexpr std::string_view kSkipToken = "$skipToken";

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~$").find(c) != std::string_view::npos;
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

// Clients follow absolute URLs; they get the name they know the server by.
const std::string& base_url_of(const Call& call) {
  return call.request.base_url.empty() ? call.context.base_url : call.request.base_url;
}

Result<std::size_t> page_size_of(const Call& call) {
  const auto top = call.request.query_value("$top");
  if (!top) return call.context.page_size;
  const auto number = parse_uint64(*top);
  if (!number || *number == 0) {
    return fail(Error(Code::kInvalidArgument, "The query parameter $top must be a number from 1.").with_target("$top"));
  }
  return static_cast<std::size_t>(std::min<std::uint64_t>(*number, call.context.page_size));
}

}  // namespace

const std::string& absolute_base_url(const Call& call) { return base_url_of(call); }

http::Response answer_json(int status, const json::value& body) { return http::Response::json(status, body); }

http::Response answer_empty(int status) { return http::Response::empty(status); }

http::Response answer_resource(int status, const db::Resource& resource) {
  return answer_json(status, to_arm(resource));
}

void add_operation_headers(http::Response& response, const Call& call, const OperationPlace& place,
                           std::string_view operation_id) {
  const std::string_view collection = place.provider == "Microsoft.Compute" ? "capsOperations" : "operationResults";
  const std::string version =
      call.api_version.empty() ? std::string(api_versions_of(place.provider).front()) : call.api_version;
  const std::string url =
      fmt::format("{}/subscriptions/{}/providers/{}/locations/{}/{}/{}?api-version={}", base_url_of(call),
                  call.context.subscription_id, place.provider, place.location, collection, operation_id, version);
  response.set_header("Azure-AsyncOperation", url);
  response.set_header("Location", url + "&monitor=true");
  if (place.provider != "Microsoft.Compute") response.set_header("Operation-Location", url);
  // Without it, or with 0, Python's clients and az wait 30 s before the first look.
  response.set_header("Retry-After", "1");
}

http::Response answer_accepted_resource(int status, const db::Resource& resource, const Call& call,
                                        const OperationPlace& place, std::string_view operation_id) {
  http::Response response = answer_resource(status, resource);
  add_operation_headers(response, call, place, operation_id);
  return response;
}

http::Response answer_accepted(const Call& call, const OperationPlace& place, std::string_view operation_id) {
  const std::string_view collection = place.provider == "Microsoft.Compute" ? "capsOperations" : "operationResults";
  const std::string id = fmt::format("/subscriptions/{}/providers/{}/locations/{}/{}/{}", call.context.subscription_id,
                                     place.provider, place.location, collection, operation_id);
  http::Response response = answer_json(
      202,
      json::object{{"id", id}, {"name", operation_id}, {"status", "InProgress"}, {"startTime", to_rfc3339(now())}});
  add_operation_headers(response, call, place, operation_id);
  return response;
}

std::string skip_token_of(std::string_view key) {
  return to_hex({reinterpret_cast<const std::uint8_t*>(key.data()), key.size()});
}

Result<std::string> key_of_skip_token(std::string_view token) {
  std::vector<std::uint8_t> bytes(token.size() / 2);
  if (token.size() > 4096 || !from_hex(token, bytes)) {
    return fail(Error(Code::kInvalidArgument, "The query parameter $skipToken is not one of this service's.")
                    .with_reason("InvalidParameter")
                    .with_target(std::string(kSkipToken)));
  }
  return std::string(bytes.begin(), bytes.end());
}

std::string next_link(const Call& call, std::string_view key) {
  std::string url = base_url_of(call) + call.request.target.substr(0, call.request.target.find('?'));
  char separator = '?';
  for (const auto& [name, value] : call.request.query) {
    if (equals_ignoring_case(name, kSkipToken)) continue;
    url += fmt::format("{}{}={}", separator, percent_encoded(name), percent_encoded(value));
    separator = '&';
  }
  return fmt::format("{}{}{}={}", url, separator, kSkipToken, skip_token_of(key));
}

Result<http::Response> answer_list(Call& call, db::ResourceQuery query, const ToItem& to_item) {
  query.limit = TRY(page_size_of(call));
  if (const auto token = call.request.query_value(kSkipToken)) query.after_id = TRY(key_of_skip_token(*token));
  const auto read = [&](db::Transaction& transaction) -> Result<json::object> {
    const std::vector<db::Resource> page = TRY(db::list_resources(transaction, query));
    json::array value;
    for (const db::Resource& resource : page) {
      if (!to_item) {
        value.push_back(to_arm(resource));
      } else if (auto item = TRY(to_item(transaction, resource))) {
        value.push_back(*std::move(item));
      }
    }
    json::object body{{"value", std::move(value)}};
    // A full page may be the last one; then the next is empty.
    if (page.size() == query.limit) body["nextLink"] = next_link(call, page.back().id);
    return body;
  };
  return answer_json(200, TRY(call.context.parts.database.read(read)));
}

}  // namespace atelier::api
