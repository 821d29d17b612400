// Tables principals and refresh_tokens: who may sign in, and who is signed in for longer.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace atelier::db {

class Transaction;

struct PrincipalRow {
  std::string id = {};           // object id
  std::string kind = {};         // "User" or "ServicePrincipal"
  std::string name = {};         // a user's sign-in name; a service principal's display name
  std::string sign_in_key = {};  // unique, compared in lower case: "user:<name>" or "client:<client id>"
  std::string client_id = {};
  std::string tenant_id = {};
  std::string secret_hash = {};
  std::optional<TimePoint> secret_expires_at = {};
};

// kAlreadyExists when the id or the sign_in_key is taken.
Status insert_principal(Transaction& transaction, const PrincipalRow& principal);
Result<std::optional<PrincipalRow>> find_principal_by_id(Transaction& transaction, std::string_view id);
Result<std::optional<PrincipalRow>> find_principal_by_sign_in(Transaction& transaction, std::string_view sign_in_key);
// kNotFound when there is no such principal.
Status update_secret(Transaction& transaction, std::string_view principal_id, std::string_view secret_hash);

struct RefreshTokenRow {
  std::string token_hash = {};
  std::string family = {};  // all tokens that follow from one sign-in
  std::string principal_id = {};
  std::string client_id = {};
  TimePoint expires_at = {};
  bool used = false;
};
Status insert_refresh_token(Transaction& transaction, const RefreshTokenRow& token);
Result<std::optional<RefreshTokenRow>> find_refresh_token(Transaction& transaction, std::string_view token_hash);
Status mark_refresh_token_used(Transaction& transaction, std::string_view token_hash);
Status erase_refresh_token_family(Transaction& transaction, std::string_view family);
Status erase_refresh_tokens_of(Transaction& transaction, std::string_view principal_id);
Status erase_expired_refresh_tokens(Transaction& transaction, TimePoint time);

}  // namespace atelier::db
