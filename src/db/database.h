// The metadata database: SQLite by default, PostgreSQL for several atelierd. The same SQL runs on both.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace atelier::db {

// One open transaction. Opaque: the query functions of this folder take it by reference, and it lives only while the
// function given to Database::write or ::read runs, on the thread that runs it.
class Transaction;

// A pool of connections to one database whose schema is ours. Any thread may use it.
//
// Errors of all three forms below: kResourceExhausted when the disk is full; kUnavailable when the database is busy for
// longer than wait_max, the connection was lost, or it asks to try again; kInternal for the rest (details in the log).
class Database {
 public:
  struct Options {
    std::string url;              // "sqlite:/abs/path/atelier.db" or "postgresql://user@host/name", as libpq takes it
    std::size_t connections = 8;  // at most so many transactions at once; the rest wait
    std::chrono::milliseconds wait_max{10000};  // for a connection, and for the other writers
  };
  enum class Backend { kSqlite, kPostgresql };

  // Opens the database and brings its schema up to date; creates the SQLite file (mode 0600: it holds keys) in a folder
  // that exists. kFailedPrecondition when a newer Atelier wrote the schema.
  static Result<std::unique_ptr<Database>> open(const Options& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Backend backend() const;

  // Calls fn(Transaction&), which gives a Result<T> or a Status, once; commits when that holds a value, else rolls
  // back. At most one write runs at a time, on both databases and over all processes: what fn reads stays true until
  // the commit. So keep fn short: no I/O but SQL. Durable when it returns. Must not be called inside another
  // transaction of the same thread.
  template <typename Function>
  std::invoke_result_t<Function, Transaction&> write(Function&& fn) {
    return run_typed(Mode::kWrite, std::forward<Function>(fn));
  }
  // A write that locks only the rows it changes (on PostgreSQL; on SQLite the same as write): for statements that are
  // right by themselves, such as claiming a job.
  template <typename Function>
  std::invoke_result_t<Function, Transaction&> write_rows(Function&& fn) {
    return run_typed(Mode::kWriteRows, std::forward<Function>(fn));
  }
  // Calls fn on one consistent snapshot, beside any writer; writing in it fails.
  template <typename Function>
  std::invoke_result_t<Function, Transaction&> read(Function&& fn) {
    return run_typed(Mode::kRead, std::forward<Function>(fn));
  }

 private:
  enum class Mode { kRead, kWrite, kWriteRows };
  struct Connections;

  explicit Database(std::unique_ptr<Connections> connections);
  Status run(Mode mode, const std::function<Status(Transaction&)>& fn);

  template <typename Function>
  std::invoke_result_t<Function, Transaction&> run_typed(Mode mode, Function&& fn) {
    std::optional<std::invoke_result_t<Function, Transaction&>> result;
    const Status status = run(mode, [&](Transaction& transaction) -> Status {
      result.emplace(fn(transaction));
      if (!result->has_value()) return std::unexpected(result->error());
      return {};
    });
    if (!status.has_value()) return std::unexpected(status.error());
    return std::move(*result);
  }

  std::unique_ptr<Connections> connections_;
};

}  // namespace atelier::db
