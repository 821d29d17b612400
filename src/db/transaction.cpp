#include "db/transaction.h"

#include <soci/postgresql/soci-postgresql.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <cerrno>

#include "base/log.h"

namespace atelier::db {
namespace {

constexpr auto kBusy = "The database is busy. Try again in a moment.";
constexpr auto kLost = "The connection to the database was lost. Try again in a moment.";
constexpr auto kFull = "The database's disk is full. Free some space and try again.";
constexpr auto kOurs = "The database refused a statement. The server's log has the details.";

Error postgresql_error(const soci::postgresql_soci_error& error) {
  const std::string state = error.sqlstate();
  const auto is_class = [&](std::string_view prefix) { return state.starts_with(prefix); };
  if (error.get_error_category() == soci::soci_error::connection_error || is_class("08") || is_class("57P")) {
    return {Code::kUnavailable, kLost};
  }
  if (state == "53100") return {Code::kResourceExhausted, kFull};
  // Serialization failure, deadlock, lock timeout, statement timeout, out of connections or memory.
  if (is_class("40") || is_class("53") || state == "55P03" || state == "57014" || state == "25P03") {
    return {Code::kUnavailable, kBusy};
  }
  if (state == "23505") return {Code::kAlreadyExists, "There is such an entry in the database already."};
  if (is_class("23")) return {Code::kConflict, "Another entry in the database depends on this one."};
  if (state == "22021" || state == "22P05") return {Code::kInvalidArgument, "The text is not valid UTF-8."};
  return {Code::kInternal, kOurs};
}

Error sqlite_error(const soci::sqlite3_soci_error& error, soci::session* session) {
  using namespace sqlite_api;
  sqlite3* connection = nullptr;
  if (session != nullptr && session->get_backend() != nullptr) {
    // Only a SQLite session throws a SQLite error; the library hides the type information that dynamic_cast needs.
    connection = static_cast<soci::sqlite3_session_backend*>(session->get_backend())->conn_;
  }
  switch (error.result() & 0xff) {
    case SQLITE_FULL:
      return {Code::kResourceExhausted, kFull};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Code::kUnavailable, kBusy};
    case SQLITE_CONSTRAINT: {
      const int extended = connection == nullptr ? 0 : sqlite3_extended_errcode(connection);
      if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY) {
        return {Code::kAlreadyExists, "There is such an entry in the database already."};
      }
      return {Code::kConflict, "Another entry in the database depends on this one."};
    }
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      // The shared-memory file of the WAL grows outside of the calls that answer SQLITE_FULL.
      if (connection != nullptr && sqlite3_system_errno(connection) == ENOSPC) return {Code::kResourceExhausted, kFull};
      return {Code::kInternal, "The database's file could not be read or written. The server's log has the details."};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Code::kDataLoss,
              "The database's file is damaged, or it is no database. The server's log has the details."};
    default:
      return {Code::kInternal, kOurs};
  }
}

}  // namespace

Error error_of_current_exception(soci::session* session, std::string_view doing) {
  // Only the library's own words go to the log: what() would add the values of the statement, secrets among them.
  try {
    throw;
  } catch (const soci::postgresql_soci_error& error) {
    log::warning("database: {}: {} (SQLSTATE {})", doing, error.get_error_message(), error.sqlstate());
    return postgresql_error(error);
  } catch (const soci::sqlite3_soci_error& error) {
    log::warning("database: {}: {} (SQLite {})", doing, error.get_error_message(), error.result());
    return sqlite_error(error, session);
  } catch (const soci::soci_error& error) {
    log::error("database: {}: {}", doing, error.get_error_message());
    return {Code::kInternal, kOurs};
  } catch (const std::exception& error) {
    log::error("database: {}: {}", doing, error.what());
    return {Code::kInternal, kOurs};
  }
}

bool is_connection_lost() {
  try {
    throw;
  } catch (const soci::postgresql_soci_error& error) {
    return error.get_error_category() == soci::soci_error::connection_error || error.sqlstate().starts_with("08") ||
           error.sqlstate().starts_with("57P");
  } catch (const std::exception&) {
    return false;
  }
}

Result<json::object> parse_column(std::string_view text) {
  Result<json::object> object = parse_json_object(text, {.bytes_max = std::size_t{64} << 20, .depth_max = 128});
  if (!object) return fail(Code::kDataLoss, "A row of the database does not hold valid JSON.");
  return object;
}

}  // namespace atelier::db
