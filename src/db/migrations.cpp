#include "db/migrations.h"

#include <fmt/format.h>

#include <array>
#include <span>
#include <string>

#include "db/transaction.h"

namespace atelier::db {
namespace {

// Types: text, bigint (also for times: milliseconds since 1970, 0 for "not yet"; and for yes and no) and {key}: text
// that compares byte by byte whatever the database's locale, so that ranges over ids mean the same on both.
constexpr std::array kFirst = {
    "create table resources (key {key} primary key, id text not null, type text not null, type_key {key} not null,"
    " name text not null, parent_id text not null, parent_key {key} not null, subscription_id text not null,"
    " resource_group text not null, location text not null, tags text not null, properties text not null,"
    " internal text not null, provisioning_state text not null, created_by text not null, changed_by text not null,"
    " created_at bigint not null, changed_at bigint not null, revision bigint not null)",
    "create index resources_by_type on resources (type_key, key)",
    "create index resources_by_parent on resources (parent_key, key)",

    "create table operations (id {key} primary key, kind text not null, subscription_id text not null,"
    " subscription_key {key} not null, location text not null, target_id text not null, target_key {key} not null,"
    " principal text not null, exclusive_key {key} not null, input text not null, result text not null,"
    " state {key} not null, progress text not null, progress_at bigint not null, error text not null,"
    " attempts bigint not null, cancel_requested bigint not null, created_at bigint not null,"
    " started_at bigint not null, ended_at bigint not null, lease {key} not null, lease_until bigint not null,"
    " run_after bigint not null)",
    "create unique index operations_exclusive on operations (exclusive_key) where exclusive_key <> '' and ended_at = 0",
    "create index operations_queue on operations (created_at, id) where ended_at = 0",
    "create index operations_by_time on operations (created_at, id)",
    "create index operations_by_target on operations (target_key, created_at)",
    "create index operations_by_end on operations (ended_at) where ended_at <> 0",

    // sign_in_key: "user:alice" or "client:<guid>", in lower case.
    "create table principals (id {key} primary key, kind text not null, name text not null,"
    " sign_in_key {key} not null unique, client_id text not null, tenant_id text not null, secret_hash text not null,"
    " secret_expires_at bigint not null, created_at bigint not null, changed_at bigint not null)",
    "create table refresh_tokens (token_hash {key} primary key, family {key} not null,"
    " principal_id {key} not null references principals (id) on delete cascade, client_id text not null,"
    " expires_at bigint not null, used_at bigint not null)",
    "create index refresh_tokens_by_family on refresh_tokens (family)",
    "create index refresh_tokens_by_principal on refresh_tokens (principal_id)",
    "create index refresh_tokens_by_expiry on refresh_tokens (expires_at)",
    "create table signing_keys (kid {key} primary key, private_key text not null, created_at bigint not null)",
    "create table settings (name {key} primary key, value text not null)",
};

// Version n of the schema is the first n of these. Never change one that was released: add another.
constexpr std::array kMigrations = {std::span<const char* const>(kFirst)};

Number current_version(Transaction& transaction) {
  transaction.sql() << "create table if not exists schema_version (version bigint not null)";
  Number version = 0;
  transaction.sql() << "select coalesce(max(version), 0) from schema_version", soci::into(version);
  return version;
}

std::string for_backend(std::string_view statement, Database::Backend backend) {
  const std::string_view key = backend == Database::Backend::kSqlite ? "text" : "text collate \"C\"";
  return fmt::format(fmt::runtime(statement), fmt::arg("key", key));
}

}  // namespace

Status migrate(Transaction& transaction) {
  return guarded(transaction, "migrate the schema", [&]() -> Status {
    const Number version = current_version(transaction);
    const auto newest = static_cast<Number>(kMigrations.size());
    if (version > newest) {
      return fail(
          Code::kFailedPrecondition,
          fmt::format("The database has schema version {}; this program knows versions up to {}. Start the newer "
                      "program that wrote it, or restore a backup from before.",
                      version, newest));
    }
    if (version == newest) return {};
    for (Number step = version; step < newest; ++step) {
      for (const char* statement : kMigrations[static_cast<std::size_t>(step)]) {
        transaction.sql() << for_backend(statement, transaction.backend());
      }
    }
    transaction.sql() << "delete from schema_version";
    transaction.sql() << "insert into schema_version (version) values (:version)", soci::use(newest, "version");
    return {};
  });
}

}  // namespace atelier::db
