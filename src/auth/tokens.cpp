#include "auth/tokens.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "auth/digests.h"
#include "auth/jws.h"
#include "base/text.h"
#include "db/database.h"
#include "db/principals.h"
#include "db/signing_keys.h"

namespace atelier::auth {
namespace {

constexpr auto kAccessTokenType = "at+jwt";  // RFC 9068: no id token passes for an access token
constexpr auto kIdTokenType = "JWT";
constexpr std::chrono::seconds kReloadPause{60};

using KeyPairs = std::map<std::string, std::shared_ptr<const SigningKeyPair>, std::less<>>;

struct LoadedKeys {
  KeyPairs by_kid;
  std::shared_ptr<const SigningKeyPair> newest;
};

Result<LoadedKeys> load_keys(db::Database& database) {
  auto rows = TRY(database.read([](db::Transaction& t) { return db::list_signing_keys(t); }));
  if (rows.empty()) {
    // Made outside of the transaction, for it takes a while; another process may be quicker.
    const std::string pem = TRY(make_private_key());
    const db::SigningKey made{.kid = new_uuid(), .private_key = pem, .created_at = now()};
    auto kept = database.write([&](db::Transaction& t) -> Result<std::vector<db::SigningKey>> {
      auto others = TRY(db::list_signing_keys(t));
      if (others.empty()) {
        TRY(db::insert_signing_key(t, made));
        others.push_back(made);
      }
      return others;
    });
    rows = TRY(std::move(kept));
  }
  LoadedKeys loaded;
  for (const db::SigningKey& row : rows) {
    const std::shared_ptr<const SigningKeyPair> pair = TRY(SigningKeyPair::open(row.kid, row.private_key));
    if (loaded.newest == nullptr) loaded.newest = pair;
    loaded.by_kid.emplace(row.kid, pair);
  }
  return loaded;
}

std::unexpected<Error> invalid_token() {
  return fail(Error(Code::kUnauthenticated, "The access token is not valid. Sign in again.")
                  .with_reason("InvalidAuthenticationToken"));
}

std::unexpected<Error> refused_refresh() {
  return fail(Error(Code::kUnauthenticated, "The refresh token is not valid any more. Sign in again.")
                  .with_reason("invalid_grant"));
}

std::int64_t seconds_of(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

bool has_integer(const json::object& claims, std::string_view name) {
  const json::value* value = find(claims, name);
  return value != nullptr && (value->is_int64() || value->is_uint64());
}

// What both kinds of token say about the principal.
json::object claims_of(const Principal& principal, const std::string& issuer, std::string_view audience,
                       std::chrono::seconds lifetime) {
  const std::int64_t time = seconds_of(now());
  json::object claims = {{"iss", issuer},
                         {"aud", audience},
                         {"iat", time},
                         {"nbf", time},
                         {"exp", time + lifetime.count()},
                         {"sub", principal.id},
                         {"oid", principal.id},
                         {"tid", principal.tenant_id},
                         {"name", principal.name},
                         {"ver", "1.0"},
                         {"jti", new_uuid()}};
  if (principal.kind == "User") {
    claims["upn"] = principal.name;
    claims["unique_name"] = principal.name;
    claims["preferred_username"] = principal.name;
  }
  return claims;
}

}  // namespace

struct TokenService::Keys {
  std::mutex mutex;
  LoadedKeys loaded;                                  // guarded by mutex
  std::chrono::steady_clock::time_point next_reload;  // guarded by mutex

  std::shared_ptr<const SigningKeyPair> newest() {
    const std::lock_guard lock(mutex);
    return loaded.newest;
  }

  // Null when there is no such key. Another atelierd may have made it: then it is looked for in the database, but not
  // for every forged token.
  std::shared_ptr<const SigningKeyPair> find(db::Database& database, const std::string& kid) {
    {
      const std::lock_guard lock(mutex);
      if (const auto known = loaded.by_kid.find(kid); known != loaded.by_kid.end()) return known->second;
      const auto time = std::chrono::steady_clock::now();
      if (time < next_reload) return nullptr;
      next_reload = time + kReloadPause;
    }
    auto again = load_keys(database);
    const std::lock_guard lock(mutex);
    if (again) loaded = std::move(*again);
    const auto known = loaded.by_kid.find(kid);
    return known == loaded.by_kid.end() ? nullptr : known->second;
  }
};

TokenService::TokenService(db::Database& database, const Options& options, std::unique_ptr<Keys> keys)
    : database_(database), options_(options), issuer_(options.base_url + "/adfs"), keys_(std::move(keys)) {
  std::vector<std::string> bases = options.other_base_urls;
  bases.insert(bases.begin(), options.base_url);
  for (const std::string& base : bases) {
    for (const char* end : {"", "/", "//"}) audiences_.push_back(base + end);
  }
  for (const char* azure : {"https://management.azure.com", "https://management.core.windows.net"}) {
    audiences_.emplace_back(azure);
    audiences_.push_back(std::string(azure) + "/");
  }
}

TokenService::~TokenService() = default;

Result<std::unique_ptr<TokenService>> TokenService::create(db::Database& database, const Options& options) {
  auto keys = std::make_unique<Keys>();
  keys->loaded = TRY_DURING(load_keys(database), "load the signing keys");
  return std::unique_ptr<TokenService>(new TokenService(database, options, std::move(keys)));
}

const std::string& TokenService::issuer() const { return issuer_; }
const std::vector<std::string>& TokenService::audiences() const { return audiences_; }

Result<std::string> TokenService::audience_of_scope(std::string_view scope) const {
  constexpr std::array<std::string_view, 4> kOpenIdWords = {"openid", "profile", "email", "offline_access"};
  while (!scope.empty()) {
    const std::size_t end = std::min(scope.find(' '), scope.size());
    std::string_view word = scope.substr(0, end);
    scope.remove_prefix(std::min(end + 1, scope.size()));
    if (word.empty() || std::ranges::find(kOpenIdWords, word) != kOpenIdWords.end()) continue;
    for (const std::string_view permission : {"/.default", "/user_impersonation"}) {
      if (word.ends_with(permission)) word.remove_suffix(permission.size());
    }
    if (const auto known = std::ranges::find(audiences_, word); known != audiences_.end()) return *known;
    return fail(Error(Code::kInvalidArgument, "The scope names a resource that is not of this service.")
                    .with_reason("invalid_scope"));
  }
  return options_.base_url + "/";
}

Result<std::string> TokenService::issue(const Principal& principal, std::string_view audience,
                                        std::chrono::seconds lifetime) const {
  json::object claims = claims_of(principal, issuer_, audience, lifetime);
  const bool is_user = principal.kind == "User";
  claims["idtyp"] = is_user ? "user" : "app";
  if (!is_user) claims["appid"] = principal.client_id;
  return keys_->newest()->sign(kAccessTokenType, claims);
}

Result<std::string> TokenService::issue_id_token(const Principal& principal, std::string_view client_id,
                                                 std::chrono::seconds lifetime) const {
  return keys_->newest()->sign(kIdTokenType, claims_of(principal, issuer_, client_id, lifetime));
}

Result<Principal> TokenService::verify(std::string_view token) const {
  if (token.size() > options_.token_bytes_max) return invalid_token();
  const Result<TokenHeader> header = parse_header(token);
  if (!header || header->typ != kAccessTokenType) return invalid_token();
  const auto key = keys_->find(database_, header->kid);
  if (key == nullptr) return invalid_token();
  const Result<std::string> text = key->verify(std::string(token));
  if (!text) return invalid_token();
  const Result<json::object> parsed = parse_claims(*text);
  if (!parsed) return invalid_token();

  const json::object& claims = *parsed;
  const std::string kind = string_at(claims, "idtyp");
  const bool is_ours = string_at(claims, "iss") == issuer_ && string_at(claims, "tid") == options_.tenant_id &&
                       std::ranges::find(audiences_, string_at(claims, "aud")) != audiences_.end() &&
                       !string_at(claims, "oid").empty() && (kind == "user" || kind == "app");
  if (!is_ours || !has_integer(claims, "nbf") || !has_integer(claims, "exp")) return invalid_token();
  const std::int64_t time = seconds_of(now());
  if (int_at(claims, "nbf") > time + options_.skew.count()) return invalid_token();
  if (int_at(claims, "exp") <= time - options_.skew.count()) {
    return fail(Error(Code::kUnauthenticated, "The access token has expired. Sign in again.")
                    .with_reason("ExpiredAuthenticationToken"));
  }
  return Principal{.id = string_at(claims, "oid"),
                   .kind = kind == "user" ? "User" : "ServicePrincipal",
                   .name = string_at(claims, "name"),
                   .client_id = string_at(claims, "appid"),
                   .tenant_id = string_at(claims, "tid")};
}

json::object TokenService::jwks() const {
  const std::lock_guard lock(keys_->mutex);
  json::array keys;
  for (const auto& [kid, pair] : keys_->loaded.by_kid) keys.push_back(pair->public_jwk());
  return {{"keys", std::move(keys)}};
}

namespace {

struct NewRefreshToken {
  std::string token;
  db::RefreshTokenRow row;
};

NewRefreshToken make_refresh_token(std::string family, std::string principal_id, std::string_view client_id,
                                   std::chrono::hours lifetime) {
  NewRefreshToken made{.token = hex_of(random_bytes(32)), .row = {}};
  made.row = {.token_hash = hex_of(sha256(made.token)),
              .family = std::move(family),
              .principal_id = std::move(principal_id),
              .client_id = std::string(client_id),
              .expires_at = now() + lifetime};
  return made;
}

}  // namespace

Result<std::string> TokenService::issue_refresh_token(const Principal& principal, std::string_view client_id) const {
  const NewRefreshToken made = make_refresh_token(new_uuid(), principal.id, client_id, options_.refresh_lifetime);
  const Status status = database_.write([&](db::Transaction& transaction) -> Status {
    TRY(db::erase_expired_refresh_tokens(transaction, now()));
    return db::insert_refresh_token(transaction, made.row);
  });
  if (!status) return fail(status.error());
  return made.token;
}

Result<TokenService::RefreshedSignIn> TokenService::redeem_refresh_token(std::string_view refresh_token,
                                                                         std::string_view client_id) const {
  const std::string hash = hex_of(sha256(refresh_token));
  // A refusal is a value here, because what it writes must be committed.
  using Outcome = std::optional<RefreshedSignIn>;
  auto written = database_.write([&](db::Transaction& transaction) -> Result<Outcome> {
    const auto row = TRY(db::find_refresh_token(transaction, hash));
    if (!row || row->client_id != client_id || row->expires_at <= now()) return std::nullopt;
    if (row->used) {
      // Either the owner's copy or a thief's was used before; nobody knows which.
      TRY(db::erase_refresh_token_family(transaction, row->family));
      return std::nullopt;
    }
    const auto principal = TRY(find_principal(transaction, row->principal_id));
    if (!principal) return std::nullopt;
    TRY(db::mark_refresh_token_used(transaction, hash));
    NewRefreshToken next =
        make_refresh_token(row->family, row->principal_id, row->client_id, options_.refresh_lifetime);
    TRY(db::insert_refresh_token(transaction, next.row));
    return RefreshedSignIn{.principal = *principal, .refresh_token = std::move(next.token)};
  });
  Outcome outcome = TRY(std::move(written));
  if (!outcome) return refused_refresh();
  return std::move(*outcome);
}

}  // namespace atelier::auth
