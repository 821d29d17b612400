#include "auth/principals.h"

#include <algorithm>

#include "auth/digests.h"
#include "auth/passwords.h"
#include "base/check.h"
#include "db/database.h"
#include "db/principals.h"

namespace atelier::auth {
namespace {

constexpr std::size_t kNameBytesMax = 128;

std::string user_key(std::string_view name) { return "user:" + std::string(name); }
std::string client_key(std::string_view client_id) { return "client:" + std::string(client_id); }

Principal to_principal(const db::PrincipalRow& row) {
  return {.id = row.id, .kind = row.kind, .name = row.name, .client_id = row.client_id, .tenant_id = row.tenant_id};
}

Status check_name(std::string_view name, const char* what) {
  const bool has_control = std::any_of(name.begin(), name.end(), [](char c) { return (c & 0xe0) == 0 || c == 0x7f; });
  if (name.empty() || name.size() > kNameBytesMax || has_control) {
    return fail(Code::kInvalidArgument, std::string(what) + " must have 1 to 128 bytes and no control characters.");
  }
  return {};
}

// What an unknown name is compared with, so that it takes as long as a known one.
const std::string& nobodys_hash() {
  static const std::string hash = [] {
    auto made = hash_password(hex_of(random_bytes(16)));
    CHECK(made.has_value());
    return *made;
  }();
  return hash;
}

Result<Principal> sign_in(db::Database& database, const std::string& key, std::string_view secret,
                          const char* message) {
  const auto row =
      TRY(database.read([&](db::Transaction& transaction) { return db::find_principal_by_sign_in(transaction, key); }));
  // Outside of the transaction: this takes tens of milliseconds.
  const bool matches = password_matches(secret, row ? row->secret_hash : nobodys_hash());
  const bool expired = row && row->secret_expires_at && *row->secret_expires_at <= now();
  if (!row || !matches || expired) return fail(Code::kUnauthenticated, message);
  return to_principal(*row);
}

}  // namespace

Result<Principal> create_user(db::Database& database, const NewUser& user) {
  TRY(check_name(user.name, "The user name"));
  const std::string hash = TRY(hash_password(user.password));
  const db::PrincipalRow row{.id = new_uuid(),
                             .kind = "User",
                             .name = user.name,
                             .sign_in_key = user_key(user.name),
                             .tenant_id = user.tenant_id,
                             .secret_hash = hash};
  TRY(database.write([&](db::Transaction& transaction) { return db::insert_principal(transaction, row); }));
  return to_principal(row);
}

Status set_user_password(db::Database& database, std::string_view name, std::string_view password) {
  const std::string hash = TRY(hash_password(password));
  return database.write([&](db::Transaction& transaction) -> Status {
    const auto user = TRY(find_user(transaction, name));
    if (!user) return fail(Code::kNotFound, "There is no user with this name.");
    TRY(db::erase_refresh_tokens_of(transaction, user->id));
    return db::update_secret(transaction, user->id, hash);
  });
}

Result<CreatedClient> create_client(db::Database& database, const NewClient& client) {
  TRY(check_name(client.display_name, "The display name"));
  const std::string client_id = client.client_id.empty() ? new_uuid() : to_lower(client.client_id);
  TRY(check_name(client_id, "The client id"));
  const std::string secret = client.secret.empty() ? hex_of(random_bytes(32)) : client.secret;
  const std::string hash = TRY(hash_password(secret));
  const db::PrincipalRow row{.id = new_uuid(),
                             .kind = "ServicePrincipal",
                             .name = client.display_name,
                             .sign_in_key = client_key(client_id),
                             .client_id = client_id,
                             .tenant_id = client.tenant_id,
                             .secret_hash = hash,
                             .secret_expires_at = client.secret_expires_at};
  TRY(database.write([&](db::Transaction& transaction) { return db::insert_principal(transaction, row); }));
  return CreatedClient{.principal = to_principal(row), .secret = secret};
}

Result<Principal> sign_in_user(db::Database& database, std::string_view name, std::string_view password) {
  return sign_in(database, user_key(name), password, "The user name or the password is wrong.");
}

Result<Principal> sign_in_client(db::Database& database, std::string_view client_id, std::string_view secret) {
  return sign_in(database, client_key(client_id), secret,
                 "The client id or the secret is wrong, or the secret has expired.");
}

Result<std::optional<Principal>> find_principal(db::Transaction& transaction, std::string_view id) {
  const auto row = TRY(db::find_principal_by_id(transaction, id));
  if (!row) return std::nullopt;
  return to_principal(*row);
}

Result<std::optional<Principal>> find_user(db::Transaction& transaction, std::string_view name) {
  const auto row = TRY(db::find_principal_by_sign_in(transaction, user_key(name)));
  if (!row) return std::nullopt;
  return to_principal(*row);
}

}  // namespace atelier::auth
