#include "db/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "db/migrations.h"
#include "db/transaction.h"

namespace atelier::db {
namespace {

// Any number of our own: serialises Database::write over all processes on PostgreSQL.
constexpr auto kLockWriters = "select pg_advisory_xact_lock(5183672940)";
constexpr std::string_view kSqlitePrefix = "sqlite:";

// The database whose transaction this thread is in: a second one could wait for the first for ever.
thread_local const Database* current_database = nullptr;

struct Connection {
  soci::session session;
  bool lost = false;
};

// Connections that wait to be used. Any thread.
class Pool {
 public:
  void add(std::unique_ptr<Connection> connection) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(connection));
    changed_.notify_one();
  }
  // Null when none came free in time.
  std::unique_ptr<Connection> take(std::chrono::milliseconds wait_max) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, wait_max, [this] { return !free_.empty(); })) return nullptr;
    std::unique_ptr<Connection> connection = std::move(free_.back());
    free_.pop_back();
    return connection;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Connection>> free_;  // guarded by mutex_
};

void prepare_sqlite(soci::session& session, std::chrono::milliseconds wait_max) {
  session << fmt::format("pragma busy_timeout = {}", wait_max.count());
  session << "pragma synchronous = full";
  session << "pragma foreign_keys = on";
}

void prepare_postgresql(soci::session& session, std::chrono::milliseconds wait_max) {
  session << "set client_min_messages = warning";
  session << fmt::format("set lock_timeout = {}", wait_max.count());
  // A process that hangs in the middle of a write must not stop the others for ever.
  session << "set idle_in_transaction_session_timeout = 60000";
}

// The library throws its plainest exception when the server does not answer.
Error connect_error() {
  static_cast<void>(error_of_current_exception(nullptr, "connect to PostgreSQL"));
  return {Code::kUnavailable, "The database does not answer. Check that its server runs, and try again."};
}

// SQLite makes new files readable for all; this one holds keys. Its -wal and -shm take over the mode.
Status make_private_file(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return fail(errno_error(errno, fmt::format("open the database {}", path.string())));
  ::close(file);
  return {};
}

}  // namespace

struct Database::Connections {
  Backend backend = Backend::kSqlite;
  std::chrono::milliseconds wait_max{};
  Pool writers;  // one on SQLite, which has one writer at a time anyway: the others wait here, fairly
  Pool readers;  // SQLite only

  Pool& pool(Mode mode) { return backend == Backend::kSqlite && mode == Mode::kRead ? readers : writers; }

  void begin(soci::session& session, Mode mode) const {
    if (backend == Backend::kSqlite) {
      // A deferred transaction that reads and then writes fails at once when another has written in between.
      session << (mode == Mode::kRead ? "begin" : "begin immediate");
      return;
    }
    session << (mode == Mode::kRead ? "begin isolation level repeatable read read only" : "begin");
    if (mode == Mode::kWrite) session << kLockWriters;
  }

  // A connection may have died since it was last used: then there is nothing to lose, and one more try.
  void begin_or_reconnect(Connection& connection, Mode mode) const {
    if (!connection.lost) {
      try {
        return begin(connection.session, mode);
      } catch (const std::exception&) {
        if (!is_connection_lost()) {
          roll_back(connection);
          throw;
        }
      }
    }
    connection.lost = true;
    connection.session.reconnect();
    prepare_postgresql(connection.session, wait_max);
    begin(connection.session, mode);
    connection.lost = false;
  }

  // Nothing to do about a failure: SQLite has rolled back by itself after some errors, and a lost connection has too.
  static void roll_back(Connection& connection) {
    try {
      connection.session << "rollback";
    } catch (const std::exception&) {
      if (is_connection_lost()) connection.lost = true;
    }
  }

  static Status commit(Connection& connection, Transaction& transaction) {
    return guarded(transaction, "commit", [&]() -> Status {
      connection.session << "commit";
      return {};
    });
  }

  Status open_sqlite(const std::filesystem::path& path, std::size_t count);
  Status open_postgresql(const std::string& url, std::size_t count);
};

Status Database::Connections::open_sqlite(const std::filesystem::path& path, std::size_t count) {
  backend = Backend::kSqlite;
  if (!path.is_absolute()) {
    return fail(Code::kInvalidArgument,
                "The database URL must name an absolute path: sqlite:/var/lib/atelier/atelier.db.");
  }
  if (path.string().find('"') != std::string::npos) {
    return fail(Code::kInvalidArgument, "The path of the database must not hold a quotation mark.");
  }
  TRY(make_private_file(path));
  try {
    for (std::size_t i = 0; i < std::max<std::size_t>(count, 2); ++i) {
      auto connection = std::make_unique<Connection>();
      connection->session.open(soci::sqlite3, fmt::format("db=\"{}\"", path.string()));
      prepare_sqlite(connection->session, wait_max);
      if (i == 0) {
        connection->session << "pragma journal_mode = wal";
        writers.add(std::move(connection));
      } else {
        connection->session << "pragma query_only = on";
        readers.add(std::move(connection));
      }
    }
  } catch (const std::exception&) {
    return fail(error_of_current_exception(nullptr, fmt::format("open {}", path.string())));
  }
  return {};
}

Status Database::Connections::open_postgresql(const std::string& url, std::size_t count) {
  backend = Backend::kPostgresql;
  try {
    for (std::size_t i = 0; i < std::max<std::size_t>(count, 1); ++i) {
      auto connection = std::make_unique<Connection>();
      connection->session.open(soci::postgresql, url);
      prepare_postgresql(connection->session, wait_max);
      writers.add(std::move(connection));
    }
  } catch (const std::exception&) {
    return fail(connect_error());
  }
  return {};
}

Database::Database(std::unique_ptr<Connections> connections) : connections_(std::move(connections)) {}
Database::~Database() = default;

Database::Backend Database::backend() const { return connections_->backend; }

Result<std::unique_ptr<Database>> Database::open(const Options& options) {
  auto connections = std::make_unique<Connections>();
  connections->wait_max = options.wait_max;
  if (options.url.starts_with(kSqlitePrefix)) {
    TRY(connections->open_sqlite(options.url.substr(kSqlitePrefix.size()), options.connections));
  } else if (options.url.starts_with("postgresql://") || options.url.starts_with("postgres://")) {
    TRY(connections->open_postgresql(options.url, options.connections));
  } else {
    return fail(Code::kInvalidArgument, "The database URL must begin with sqlite: or postgresql://.");
  }
  std::unique_ptr<Database> database(new Database(std::move(connections)));
  TRY(database->write([](Transaction& transaction) { return migrate(transaction); }));
  return database;
}

Status Database::run(Mode mode, const std::function<Status(Transaction&)>& fn) {
  CHECK(current_database != this);
  Pool& pool = connections_->pool(mode);
  std::unique_ptr<Connection> connection = pool.take(connections_->wait_max);
  if (connection == nullptr) return fail(Code::kUnavailable, "The database is busy. Try again in a moment.");

  const Database* const outer = std::exchange(current_database, this);
  // Also when fn throws, which is the caller's to catch.
  struct Return {
    Pool& pool;
    std::unique_ptr<Connection>& connection;
    const Database* outer;
    bool open = false;
    ~Return() {
      if (open) Connections::roll_back(*connection);
      current_database = outer;
      pool.add(std::move(connection));
    }
  } at_end{pool, connection, outer};

  try {
    connections_->begin_or_reconnect(*connection, mode);
  } catch (const std::exception&) {
    if (connection->lost) return fail(connect_error());
    return fail(error_of_current_exception(&connection->session, "begin"));
  }
  at_end.open = true;
  Transaction transaction(connection->session, connections_->backend);
  TRY(fn(transaction));
  if (transaction.failure()) return fail(*transaction.failure());
  TRY(Connections::commit(*connection, transaction));
  at_end.open = false;
  return {};
}

}  // namespace atelier::db
