// Who may sign in: users with a password, service principals with a secret.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace atelier::db {
class Database;
class Transaction;
}  // namespace atelier::db

namespace atelier::auth {

struct Principal {
  std::string id = {};         // object id, a guid: the "oid" of its tokens
  std::string kind = {};       // "User" or "ServicePrincipal"
  std::string name = {};       // what the user signs in with; a service principal's display name
  std::string client_id = {};  // a service principal's; "" for users
  std::string tenant_id = {};
};

struct NewUser {
  std::string name = {};  // unique, in any case; 1 to 128 bytes, no control characters
  std::string password = {};
  std::string tenant_id = {};
};
// kAlreadyExists when the name is taken; kInvalidArgument.
Result<Principal> create_user(db::Database& database, const NewUser& user);
// Replaces the password: for the administrator's first start and later resets. Refresh tokens end. kNotFound.
Status set_user_password(db::Database& database, std::string_view name, std::string_view password);

struct NewClient {
  std::string display_name = {};
  std::string tenant_id = {};
  std::string client_id = {};                       // a guid; made when empty
  std::string secret = {};                          // made when empty
  std::optional<TimePoint> secret_expires_at = {};  // never, when absent
};
struct CreatedClient {
  Principal principal;
  std::string secret;  // the only time that it can be read
};
Result<CreatedClient> create_client(db::Database& database, const NewClient& client);

// kUnauthenticated, with the same message and about the same time for an unknown name and a wrong password. Guard them
// with SignInLimit.
Result<Principal> sign_in_user(db::Database& database, std::string_view name, std::string_view password);
Result<Principal> sign_in_client(db::Database& database, std::string_view client_id, std::string_view secret);

// By object id.
Result<std::optional<Principal>> find_principal(db::Transaction& transaction, std::string_view id);
// By sign-in name, in any case.
Result<std::optional<Principal>> find_user(db::Transaction& transaction, std::string_view name);

}  // namespace atelier::auth
