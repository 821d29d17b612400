#include "atelierd/first_start.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>

#include "auth/principals.h"
#include "base/text.h"
#include "db/database.h"
#include "db/settings.h"

namespace atelier::atelierd {
namespace {

constexpr const char* kAdminName = "admin";

Result<std::string> setting_or(db::Transaction& transaction, std::string_view name, const std::string& made) {
  const std::optional<std::string> kept = TRY(db::get_setting(transaction, name));
  if (kept.has_value()) return *kept;
  TRY(db::put_setting(transaction, name, made));
  return made;
}

std::string new_password() {
  const std::string random = random_bytes(12);
  return to_hex(std::span(reinterpret_cast<const std::uint8_t*>(random.data()), random.size()));
}

}  // namespace

Result<Identity> ensure_identity(db::Database& database) {
  return database.write([](db::Transaction& transaction) -> Result<Identity> {
    Identity identity;
    identity.tenant_id = TRY(setting_or(transaction, "tenant_id", new_uuid()));
    identity.subscription_id = TRY(setting_or(transaction, "subscription_id", new_uuid()));
    identity.subscription_name = TRY(setting_or(transaction, "subscription_name", "Atelier"));
    return identity;
  });
}

Status ensure_admin(db::Database& database, const std::string& tenant_id, const std::string& password) {
  const auto is_there = [](db::Transaction& transaction) -> Result<bool> {
    const std::optional<auth::Principal> found = TRY(auth::find_user(transaction, kAdminName));
    return found.has_value();
  };
  const bool exists = TRY(database.read(is_there));
  if (exists) return password.empty() ? Status() : auth::set_user_password(database, kAdminName, password);
  const std::string chosen = password.empty() ? new_password() : password;
  TRY(auth::create_user(database, {.name = kAdminName, .password = chosen, .tenant_id = tenant_id}));
  if (password.empty()) std::fputs(fmt::format("user: {}  password: {}\n", kAdminName, chosen).c_str(), stderr);
  return {};
}

}  // namespace atelier::atelierd
