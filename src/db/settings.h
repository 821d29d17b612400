// Table settings: a few small values by name: tenant id, subscription id, facts of the first start, keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::db {

class Transaction;

Result<std::optional<std::string>> get_setting(Transaction& transaction, std::string_view name);
// Writes or overwrites. `value` must be UTF-8 text without NUL: PostgreSQL takes no other.
Status put_setting(Transaction& transaction, std::string_view name, std::string_view value);

}  // namespace atelier::db
