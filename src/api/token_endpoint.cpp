// POST /adfs/oauth2/token: OAuth 2 for users (password, refresh_token) and service principals (client_credentials).
#include <chrono>
#include <map>
#include <string>

#include "api/errors.h"
#include "api/form.h"
#include "api/own_routes.h"
#include "auth/base64url.h"
#include "auth/principals.h"
#include "auth/sign_in_limit.h"
#include "auth/tokens.h"
#include "base/log.h"
#include "base/text.h"

namespace atelier::api {
namespace {

using Form = std::map<std::string, std::string>;

constexpr std::chrono::seconds kLifetime{3599};

std::unexpected<Error> oauth_error(Code code, std::string_view word, std::string message) {
  return fail(Error(code, std::move(message)).with_reason(std::string(word)));
}

Result<std::string> field(const Form& form, const std::string& name) {
  const auto found = form.find(name);
  if (found != form.end() && !found->second.empty()) return found->second;
  return oauth_error(Code::kInvalidArgument, "invalid_request", "The form field '" + name + "' is required.");
}

std::string field_or(const Form& form, const std::string& name, const std::string& fallback) {
  const auto found = form.find(name);
  return found == form.end() || found->second.empty() ? fallback : found->second;
}

// "127.0.0.1" of "127.0.0.1:50312".
std::string host_of(const std::string& remote_address) { return remote_address.substr(0, remote_address.rfind(':')); }

Result<auth::Principal> sign_in(const Context& context, const http::Request& request, const Form& form,
                                const std::string& grant) {
  const std::string host = host_of(request.remote_address);
  if (grant == "password") {
    const std::string name = TRY(field(form, "username"));
    const std::string password = TRY(field(form, "password"));
    return context.sign_in_limit.attempt(name, host,
                                         [&] { return auth::sign_in_user(context.parts.database, name, password); });
  }
  const std::string client_id = TRY(field(form, "client_id"));
  const std::string secret = TRY(field(form, "client_secret"));
  return context.sign_in_limit.attempt(client_id, host,
                                       [&] { return auth::sign_in_client(context.parts.database, client_id, secret); });
}

std::string scope_of(const Form& form) { return field_or(form, "scope", field_or(form, "resource", "")); }

// What a user's sign-in gets beside the access token; MSAL's account cache wants all of it.
Status add_user_fields(const Context& context, const auth::Principal& principal, const Form& form,
                       std::string refresh_token, json::object& body) {
  const std::string client_id = field_or(form, "client_id", "");
  if (refresh_token.empty()) refresh_token = TRY(context.tokens.issue_refresh_token(principal, client_id));
  body["refresh_token"] = refresh_token;
  body["id_token"] = TRY(context.tokens.issue_id_token(principal, client_id, kLifetime));
  const json::object client_info{{"uid", principal.id}, {"utid", principal.tenant_id}};
  body["client_info"] = auth::to_base64url(to_text(client_info));
  return {};
}

Result<json::object> issue(const Context& context, const http::Request& request) {
  const Form form = parse_form(request.body);
  const std::string grant = TRY(field(form, "grant_type"));
  auth::Principal principal;
  std::string refresh_token;
  if (grant == "refresh_token") {
    const std::string presented = TRY(field(form, "refresh_token"));
    auto redeemed = TRY(context.tokens.redeem_refresh_token(presented, field_or(form, "client_id", "")));
    principal = std::move(redeemed.principal);
    refresh_token = std::move(redeemed.refresh_token);
  } else if (grant == "password" || grant == "client_credentials") {
    principal = TRY(sign_in(context, request, form, grant));
  } else {
    return oauth_error(Code::kInvalidArgument, "unsupported_grant_type",
                       "The grant_type must be password, client_credentials or refresh_token.");
  }
  const std::string audience = TRY(context.tokens.audience_of_scope(scope_of(form)));
  json::object body{{"token_type", "Bearer"},
                    {"expires_in", kLifetime.count()},
                    {"ext_expires_in", kLifetime.count()},
                    {"resource", audience},
                    {"access_token", TRY(context.tokens.issue(principal, audience, kLifetime))}};
  if (const std::string scope = scope_of(form); !scope.empty()) body["scope"] = scope;
  if (grant != "client_credentials") {
    TRY(add_user_fields(context, principal, form, std::move(refresh_token), body));
  }
  return body;
}

// RFC 6749 section 5.2.
http::Response refused(const Error& error, const std::string& body) {
  const bool for_client = parse_form(body)["grant_type"] == "client_credentials";
  std::string word = error.reason();
  int status = 400;
  if (error.code() == Code::kUnauthenticated) {
    word = for_client ? "invalid_client" : "invalid_grant";
    status = for_client ? 401 : 400;
  } else if (error.code() != Code::kInvalidArgument) {
    status = http_status_of(error);
    word = "temporarily_unavailable";
    if (error.code() == Code::kInternal) log::error("A sign-in failed: {}", error.message());
  } else if (word.empty()) {
    word = "invalid_request";
  }
  const json::object shown = error_object(error);
  http::Response response =
      http::Response::json(status, json::object{{"error", word}, {"error_description", shown.at("message")}});
  if (status == 401) response.set_header("WWW-Authenticate", "Bearer");
  if (status == 429 || status == 503) response.set_header("Retry-After", "10");
  return response;
}

}  // namespace

void add_sign_in_routes(http::Router& router, Context& context) {
  const auto handler = [&context](http::Request& request) {
    const auto body = issue(context, request);
    http::Response response = body ? http::Response::json(200, *body) : refused(body.error(), request.body);
    response.set_header("Cache-Control", "no-store");
    response.set_header("Pragma", "no-cache");
    return response;
  };
  // ADFS style as az asks for it, and the style of Azure's own directory as the SDKs do.
  for (const char* pattern :
       {"/adfs/oauth2/token", "/adfs/oauth2/v2.0/token", "/{tenant}/oauth2/token", "/{tenant}/oauth2/v2.0/token"}) {
    router.add({.method = "POST", .pattern = pattern, .handler = handler, .body_bytes_max = 64 << 10});
  }
}

}  // namespace atelier::api
