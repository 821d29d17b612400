#include "db/principals.h"

#include "db/transaction.h"

namespace atelier::db {
namespace {

Result<std::optional<PrincipalRow>> select_principal(Transaction& transaction, const char* condition,
                                                     const std::string& value) {
  return guarded(transaction, "find a principal", [&]() -> Result<std::optional<PrincipalRow>> {
    PrincipalRow row;
    Number expires_at = 0;
    transaction.sql() << std::string(
                             "select id, kind, name, sign_in_key, client_id, tenant_id, secret_hash,"
                             " secret_expires_at from principals where ") +
                             condition,
        soci::use(value, "value"), soci::into(row.id), soci::into(row.kind), soci::into(row.name),
        soci::into(row.sign_in_key), soci::into(row.client_id), soci::into(row.tenant_id), soci::into(row.secret_hash),
        soci::into(expires_at);
    if (!transaction.sql().got_data()) return std::nullopt;
    if (expires_at != 0) row.secret_expires_at = to_time(expires_at);
    return row;
  });
}

// Runs a statement with one text parameter.
Status run_with(Transaction& transaction, const char* doing, const char* text, std::string_view value) {
  return guarded(transaction, doing, [&]() -> Status {
    const std::string bound(value);
    transaction.sql() << text, soci::use(bound, "value");
    return {};
  });
}

}  // namespace

Status insert_principal(Transaction& transaction, const PrincipalRow& principal) {
  const std::string key = to_lower(principal.sign_in_key);
  if (TRY(find_principal_by_sign_in(transaction, key)).has_value()) {
    return fail(Code::kAlreadyExists, "There is a principal with this name already.");
  }
  return guarded(transaction, "insert a principal", [&]() -> Status {
    const Number expires_at = principal.secret_expires_at ? to_number(*principal.secret_expires_at) : 0;
    const Number time = to_number(now());
    transaction.sql() << "insert into principals (id, kind, name, sign_in_key, client_id, tenant_id, secret_hash,"
                         " secret_expires_at, created_at, changed_at) values (:id, :kind, :name, :sign_in_key,"
                         " :client_id, :tenant_id, :secret_hash, :expires_at, :time, :time)",
        soci::use(principal.id, "id"), soci::use(principal.kind, "kind"), soci::use(principal.name, "name"),
        soci::use(key, "sign_in_key"), soci::use(principal.client_id, "client_id"),
        soci::use(principal.tenant_id, "tenant_id"), soci::use(principal.secret_hash, "secret_hash"),
        soci::use(expires_at, "expires_at"), soci::use(time, "time");
    return {};
  });
}

Result<std::optional<PrincipalRow>> find_principal_by_id(Transaction& transaction, std::string_view id) {
  if (has_nul(id)) return std::nullopt;
  return select_principal(transaction, "id = :value", to_lower(id));
}

Result<std::optional<PrincipalRow>> find_principal_by_sign_in(Transaction& transaction, std::string_view sign_in_key) {
  if (has_nul(sign_in_key)) return std::nullopt;
  return select_principal(transaction, "sign_in_key = :value", to_lower(sign_in_key));
}

Status update_secret(Transaction& transaction, std::string_view principal_id, std::string_view secret_hash) {
  return guarded(transaction, "update a secret", [&]() -> Status {
    const std::string id = to_lower(principal_id);
    const std::string hash(secret_hash);
    const Number time = to_number(now());
    soci::statement statement =
        (transaction.sql().prepare << "update principals set secret_hash = :hash, changed_at = :time where id = :id",
         soci::use(hash, "hash"), soci::use(time, "time"), soci::use(id, "id"));
    if (affected_rows(statement) == 0) return fail(Code::kNotFound, "There is no such principal.");
    return {};
  });
}

Status insert_refresh_token(Transaction& transaction, const RefreshTokenRow& token) {
  return guarded(transaction, "insert a refresh token", [&]() -> Status {
    const Number expires_at = to_number(token.expires_at);
    transaction.sql() << "insert into refresh_tokens (token_hash, family, principal_id, client_id, expires_at, used_at)"
                         " values (:token_hash, :family, :principal_id, :client_id, :expires_at, 0)",
        soci::use(token.token_hash, "token_hash"), soci::use(token.family, "family"),
        soci::use(token.principal_id, "principal_id"), soci::use(token.client_id, "client_id"),
        soci::use(expires_at, "expires_at");
    return {};
  });
}

Result<std::optional<RefreshTokenRow>> find_refresh_token(Transaction& transaction, std::string_view token_hash) {
  return guarded(transaction, "find a refresh token", [&]() -> Result<std::optional<RefreshTokenRow>> {
    const std::string hash(token_hash);
    RefreshTokenRow row;
    Number expires_at = 0;
    Number used_at = 0;
    transaction.sql() << "select token_hash, family, principal_id, client_id, expires_at, used_at from refresh_tokens"
                         " where token_hash = :hash",
        soci::use(hash, "hash"), soci::into(row.token_hash), soci::into(row.family), soci::into(row.principal_id),
        soci::into(row.client_id), soci::into(expires_at), soci::into(used_at);
    if (!transaction.sql().got_data()) return std::nullopt;
    row.expires_at = to_time(expires_at);
    row.used = used_at != 0;
    return row;
  });
}

Status mark_refresh_token_used(Transaction& transaction, std::string_view token_hash) {
  return guarded(transaction, "use a refresh token", [&]() -> Status {
    const std::string hash(token_hash);
    const Number time = to_number(now());
    transaction.sql() << "update refresh_tokens set used_at = :time where token_hash = :hash", soci::use(time, "time"),
        soci::use(hash, "hash");
    return {};
  });
}

Status erase_refresh_token_family(Transaction& transaction, std::string_view family) {
  return run_with(transaction, "erase a family of refresh tokens", "delete from refresh_tokens where family = :value",
                  family);
}

Status erase_refresh_tokens_of(Transaction& transaction, std::string_view principal_id) {
  return run_with(transaction, "erase a principal's refresh tokens",
                  "delete from refresh_tokens where principal_id = :value", principal_id);
}

Status erase_expired_refresh_tokens(Transaction& transaction, TimePoint time) {
  return guarded(transaction, "erase expired refresh tokens", [&]() -> Status {
    const Number milliseconds = to_number(time);
    transaction.sql() << "delete from refresh_tokens where expires_at < :time", soci::use(milliseconds, "time");
    return {};
  });
}

}  // namespace atelier::db
