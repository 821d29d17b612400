// What handlers answer: resources, pages, and the headers of long operations (one function makes them all).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/context.h"
#include "base/json.h"
#include "db/resources.h"
#include "http/message.h"

namespace atelier::api {

http::Response answer_resource(int status, const db::Resource& resource);
http::Response answer_json(int status, const json::value& body);
http::Response answer_empty(int status);

// Scheme, host and port as the caller wrote them: absolute URLs in answers begin with it. No slash at the end.
const std::string& absolute_base_url(const Call& call);

// Where a long operation's state is asked for: the provider that the route belongs to and its location.
struct OperationPlace {
  std::string_view provider;  // "Microsoft.Compute" or "Microsoft.LabServices"
  std::string location;       // short region name
};
// Sets Azure-AsyncOperation, Location (&monitor=true), Operation-Location (LabServices only) and Retry-After: 1.
void add_operation_headers(http::Response& response, const Call& call, const OperationPlace& place,
                           std::string_view operation_id);
// 201 for a new resource, 200 for a changed one, each with the resource's body; 202 for DELETE and actions.
http::Response answer_accepted_resource(int status, const db::Resource& resource, const Call& call,
                                        const OperationPlace& place, std::string_view operation_id);
http::Response answer_accepted(const Call& call, const OperationPlace& place, std::string_view operation_id);

// One page of a list: `$skipToken` and `$top` of the request, at most context.page_size. `to_item` may leave a
// resource out by giving nothing.
using ToItem = std::function<Result<std::optional<json::object>>(db::Transaction&, const db::Resource&)>;
Result<http::Response> answer_list(Call& call, db::ResourceQuery query, const ToItem& to_item = {});

// The opaque token of a page that begins after `key`, and back; kInvalidArgument for a token we did not make.
std::string skip_token_of(std::string_view key);
Result<std::string> key_of_skip_token(std::string_view token);
// The request's own URL, absolute, with the token in place of an earlier one.
std::string next_link(const Call& call, std::string_view key);

}  // namespace atelier::api
