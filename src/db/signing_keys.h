// Table signing_keys: the private keys that sign our tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace atelier::db {

class Transaction;

struct SigningKey {
  std::string kid;
  std::string private_key;  // PEM, PKCS #8
  TimePoint created_at;
};

Status insert_signing_key(Transaction& transaction, const SigningKey& key);
// Newest first. There are a handful.
Result<std::vector<SigningKey>> list_signing_keys(Transaction& transaction);

}  // namespace atelier::db
