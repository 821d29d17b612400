// What a new database needs before anybody can sign in.
#pragma once

#include <string>

#include "base/error.h"

namespace atelier::db {
class Database;
}

namespace atelier::atelierd {

struct Identity {
  std::string tenant_id;
  std::string subscription_id;
  std::string subscription_name;
};

// The guids of this service: made at the first start, the same ever after.
Result<Identity> ensure_identity(db::Database& database);

// The user `admin`. With `password` set it gets that password, at every start; else it is made once, with a random
// password that is printed to standard error that one time.
Status ensure_admin(db::Database& database, const std::string& tenant_id, const std::string& password);

}  // namespace atelier::atelierd
