// What clients ask before they sign in: endpoints of this cloud, the authority's configuration and its public keys.
#include <string>

#include "api/own_routes.h"
#include "auth/tokens.h"
#include "base/json.h"
#include "http/message.h"

namespace atelier::api {
namespace {

json::array audiences_of(const Context& context) { return {context.base_url + "/"}; }

// One cloud, as az (2019-05-01, in an array) and Terraform's client (2022-09-01, alone) read it.
json::object cloud_of(const Context& context) {
  const std::string& base = context.base_url;
  return {{"name", "Atelier"},
          {"portal", base},
          {"resourceManager", base},
          {"gallery", base},
          {"graph", base + "/graph"},
          {"graphAudience", base + "/graph"},
          {"microsoftGraphResourceId", base + "/graph"},
          {"vmImageAliasDoc", ""},
          {"authentication",
           {{"loginEndpoint", base + "/adfs"},
            {"audiences", audiences_of(context)},
            {"tenant", "common"},
            {"identityProvider", "AAD"}}},
          {"suffixes", {{"storage", ""}, {"keyVaultDns", ""}, {"acrLoginServer", ""}}}};
}

http::Response metadata(const Context& context, const http::Request& request) {
  const std::string version = request.query_value("api-version").value_or("2015-01-01");
  if (version >= "2022-01-01") return http::Response::json(200, cloud_of(context));
  if (version >= "2019-01-01") return http::Response::json(200, json::array{cloud_of(context)});
  const std::string& base = context.base_url;
  return http::Response::json(
      200, json::object{{"galleryEndpoint", base},
                        {"graphEndpoint", base},
                        {"portalEndpoint", base},
                        {"authentication", {{"loginEndpoint", base + "/adfs"}, {"audiences", audiences_of(context)}}}});
}

http::Response openid_configuration(const Context& context) {
  const std::string authority = context.base_url + "/adfs";
  return http::Response::json(
      200, json::object{{"issuer", context.tokens.issuer()},
                        {"authorization_endpoint", authority + "/oauth2/authorize/"},
                        {"token_endpoint", authority + "/oauth2/token/"},
                        {"device_authorization_endpoint", authority + "/oauth2/devicecode"},
                        {"jwks_uri", authority + "/discovery/keys"},
                        {"end_session_endpoint", authority + "/oauth2/logout"},
                        {"response_types_supported", json::array{"code", "id_token", "token"}},
                        {"subject_types_supported", json::array{"pairwise"}},
                        {"id_token_signing_alg_values_supported", json::array{"RS256"}},
                        {"token_endpoint_auth_methods_supported", json::array{"client_secret_post"}},
                        {"grant_types_supported", json::array{"password", "client_credentials", "refresh_token"}}});
}

}  // namespace

void add_discovery_routes(http::Router& router, Context& context) {
  const auto add = [&](const std::string& pattern, auto answer) {
    router.add({.method = "GET", .pattern = pattern, .handler = [&context, answer](http::Request& request) {
                  return answer(context, request);
                }});
  };
  const auto configuration = [](const Context& each, const http::Request&) { return openid_configuration(each); };
  const auto keys = [](const Context& each, const http::Request&) {
    return http::Response::json(200, each.tokens.jwks());
  };
  add("/metadata/endpoints", metadata);
  add("/adfs/.well-known/openid-configuration", configuration);
  add("/adfs/v2.0/.well-known/openid-configuration", configuration);
  add("/adfs/{tenant}/.well-known/openid-configuration", configuration);
  add("/{tenant}/v2.0/.well-known/openid-configuration", configuration);
  add("/{tenant}/.well-known/openid-configuration", configuration);
  add("/adfs/discovery/keys", keys);
  add("/{tenant}/discovery/v2.0/keys", keys);
}

}  // namespace atelier::api
