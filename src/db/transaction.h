// For the sources of this folder only: the open transaction and what every query needs around its statement.
#pragma once

#include <soci/soci.h>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "db/database.h"

namespace atelier::db {

// SOCI knows no std::int64_t (which is long); every number passes as this.
using Number = long long;

class Transaction {
 public:
  Transaction(soci::session& session, Database::Backend backend) : session_(session), backend_(backend) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  soci::session& sql() { return session_; }
  Database::Backend backend() const { return backend_; }

  // The first statement that failed. PostgreSQL would turn the commit into a silent rollback, so there is no commit
  // after one, even if the caller went on.
  const std::optional<Error>& failure() const { return failure_; }
  void set_failure(const Error& error) {
    if (!failure_) failure_ = error;
  }

 private:
  soci::session& session_;
  const Database::Backend backend_;
  std::optional<Error> failure_;
};

// The Error for the exception being handled; writes the details to the log. `doing` is for the log: "find a resource".
Error error_of_current_exception(soci::session* session, std::string_view doing);
// Whether the exception being handled says that the connection is gone.
bool is_connection_lost();

// Calls fn(), which gives a Result or a Status, and turns the library's exceptions into its error.
template <typename Function>
std::invoke_result_t<Function> guarded(Transaction& transaction, std::string_view doing, Function&& fn) {
  try {
    return fn();
  } catch (const std::exception&) {
    Error error = error_of_current_exception(&transaction.sql(), doing);
    transaction.set_failure(error);
    return std::unexpected(std::move(error));
  }
}

// Runs a prepared statement that gives no rows; how many rows it changed.
inline Number affected_rows(soci::statement& statement) {
  statement.execute(true);
  return statement.get_affected_rows();
}

inline Number to_number(TimePoint time) { return time.time_since_epoch().count(); }
inline TimePoint to_time(Number milliseconds) { return TimePoint(std::chrono::milliseconds(milliseconds)); }

// A JSON column. Damaged text is kDataLoss.
Result<json::object> parse_column(std::string_view text);

// The keys below `id`: all k with below_low < k < below_high. '0' is the character behind '/'.
inline std::string below_low(std::string_view id) { return to_lower(id) + "/"; }
inline std::string below_high(std::string_view id) { return to_lower(id) + "0"; }

// PostgreSQL takes no NUL in a text and SOCI would cut there: such an id is nobody's.
inline bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace atelier::db
