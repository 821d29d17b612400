// JSON Web Tokens, signed with RS256 by keys in the database.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/principals.h"
#include "base/error.h"
#include "base/json.h"

namespace atelier::auth {

// Any thread may use it.
class TokenService {
 public:
  struct Options {
    std::string base_url = {};   // "https://host:port", without a slash at the end; tokens for it are accepted
    std::string tenant_id = {};  // guid
    std::vector<std::string> other_base_urls = {};  // other names of this service: tokens for them are accepted too
    std::chrono::seconds skew{120};                 // between our clock and that of another atelierd
    std::size_t token_bytes_max = 16 * 1024;
    std::chrono::hours refresh_lifetime{24 * 14};
  };

  // Makes the signing key if there is none. `database` must outlive the service.
  static Result<std::unique_ptr<TokenService>> create(db::Database& database, const Options& options);
  ~TokenService();
  TokenService(const TokenService&) = delete;
  TokenService& operator=(const TokenService&) = delete;

  // base_url + "/adfs".
  const std::string& issuer() const;
  // What a resource or scope may name, and what verify() accepts as "aud": B, B/, B// and the two public Azure ones
  // with and without a slash.
  const std::vector<std::string>& audiences() const;
  // The audience that a scope ("B//.default", "B/.default openid") or resource asks for; base_url + "/" when it is
  // empty or has only OpenID words. kInvalidArgument (reason "invalid_scope") for a foreign one.
  Result<std::string> audience_of_scope(std::string_view scope) const;

  // An access token.
  Result<std::string> issue(const Principal& principal, std::string_view audience, std::chrono::seconds lifetime) const;
  // What a password sign-in gets beside it: "aud" is the client's id, and it is no access token.
  Result<std::string> issue_id_token(const Principal& principal, std::string_view client_id,
                                     std::chrono::seconds lifetime) const;

  // The caller behind an access token ("Bearer " already removed). kUnauthenticated, with one message for all that is
  // wrong but expiry (reason "ExpiredAuthenticationToken"; else "InvalidAuthenticationToken").
  Result<Principal> verify(std::string_view token) const;

  // Our public keys, as /adfs/discovery/keys answers them: {"keys":[…]}.
  json::object jwks() const;

  struct RefreshedSignIn {
    Principal principal;
    std::string refresh_token;  // the old one no longer works
  };
  Result<std::string> issue_refresh_token(const Principal& principal, std::string_view client_id) const;
  // Each works once; one that was used before ends all of its family. kUnauthenticated.
  Result<RefreshedSignIn> redeem_refresh_token(std::string_view refresh_token, std::string_view client_id) const;

 private:
  struct Keys;
  TokenService(db::Database& database, const Options& options, std::unique_ptr<Keys> keys);

  db::Database& database_;
  const Options options_;
  std::string issuer_;
  std::vector<std::string> audiences_;
  std::unique_ptr<Keys> keys_;
};

}  // namespace atelier::auth
