#include "db/settings.h"

#include "db/transaction.h"

namespace atelier::db {

Result<std::optional<std::string>> get_setting(Transaction& transaction, std::string_view name) {
  return guarded(transaction, "read a setting", [&]() -> Result<std::optional<std::string>> {
    const std::string key(name);
    std::string value;
    transaction.sql() << "select value from settings where name = :name", soci::use(key, "name"), soci::into(value);
    if (!transaction.sql().got_data()) return std::nullopt;
    return value;
  });
}

Status put_setting(Transaction& transaction, std::string_view name, std::string_view value) {
  if (has_nul(name) || has_nul(value)) return fail(Code::kInvalidArgument, "A setting must not hold a NUL.");
  return guarded(transaction, "write a setting", [&]() -> Status {
    const std::string key(name);
    const std::string text(value);
    transaction.sql() << "insert into settings (name, value) values (:name, :value)"
                         " on conflict (name) do update set value = excluded.value",
        soci::use(key, "name"), soci::use(text, "value");
    return {};
  });
}

}  // namespace atelier::db
