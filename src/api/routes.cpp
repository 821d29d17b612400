#include "api/routes.h"

#include <utility>

#include "api/api_versions.h"
#include "api/errors.h"
#include "api/own_routes.h"
#include "auth/tokens.h"
#include "base/text.h"
#include "http/message.h"

namespace atelier::api {
namespace {

constexpr std::size_t kClientRequestIdMax = 128;

// The caller, from "Authorization: Bearer …".
Result<auth::Principal> caller_of(const Context& context, const http::Request& request) {
  const std::string_view header = request.header("Authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (header.empty()) {
    return fail(Error(Code::kUnauthenticated,
                      "The header Authorization is missing. Sign in and send 'Authorization: Bearer {token}'.")
                    .with_reason("AuthenticationFailed"));
  }
  if (!equals_ignoring_case(header.substr(0, kBearer.size()), kBearer)) {
    return fail(Error(Code::kUnauthenticated, "The header Authorization must be 'Bearer {token}'.")
                    .with_reason("AuthenticationFailed"));
  }
  return context.tokens.verify(header.substr(kBearer.size()));
}

Result<http::Response> answer(Context& context, http::Request& request, const Handler& handler,
                              std::string_view provider, ArmRoutes::Options options) {
  Call call {
    .context = context, .request = request, .principal = TRY(caller_of(context, request))
    , .api_version = request.query_value("api-version").value_or("")
  };
  if (options.needs_api_version) TRY(check_api_version(provider, call.api_version));
  return handler(call);
}

void add_common_headers(const Context& context, const http::Request& request, http::Response& response) {
  if (!request.id.empty()) response.set_header("x-ms-correlation-request-id", request.id);
  const std::string_view client_id = request.header("x-ms-client-request-id");
  if (!client_id.empty()) response.set_header("x-ms-client-request-id", client_id.substr(0, kClientRequestIdMax));
  response.set_header("Cache-Control", "no-cache");
  if (response.status == 401) {
    response.set_header("WWW-Authenticate", "Bearer authorization_uri=\"" + context.base_url +
                                                "/adfs/oauth2/authorize\", error=\"invalid_token\"");
  }
}

}  // namespace

const std::string& Call::param(const std::string& name) const { return request.param(name); }

void ArmRoutes::add(const std::string& method, const std::string& pattern, Handler handler) {
  add(method, pattern, std::move(handler), Options{});
}

void ArmRoutes::add(const std::string& method, const std::string& pattern, Handler handler, Options options) {
  std::string whole = pattern;
  const auto expand = [&](std::string_view word, std::string_view meaning) {
    if (whole.starts_with(word)) whole.replace(0, word.size(), meaning);
  };
  expand("{group}", "/subscriptions/{s}/resourceGroups/{rg}/providers");
  expand("{subscription}", "/subscriptions/{s}");
  const auto run = [&context = context_, handler = std::move(handler), options,
                    provider = provider_of_pattern(whole)](http::Request& request) {
    auto outcome = answer(context, request, handler, provider, options);
    http::Response response = outcome ? *std::move(outcome) : error_response(outcome.error());
    add_common_headers(context, request, response);
    return response;
  };
  router_.add({.method = method,
               .pattern = whole,
               .handler = run,
               .body = http::BodyKind::kBuffered,
               .body_bytes_max = static_cast<std::size_t>(options.body_bytes_max)});
}

void add_routes(http::Router& router, Context& context) {
  ArmRoutes routes(router, context);
  add_sign_in_routes(router, context);
  add_discovery_routes(router, context);
  add_upload_routes(router, context);
  add_subscription_routes(routes);
  add_resource_group_routes(routes);
  add_gallery_routes(routes);
  add_gallery_image_routes(routes);
  add_gallery_image_version_routes(routes);
  add_disk_routes(routes);
  add_operation_routes(routes);
  add_lab_routes(routes);
}

}  // namespace atelier::api
