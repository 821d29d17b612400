#include "db/database_test_parts.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "base/check.h"

namespace atelier::db::testing {
namespace {

constexpr auto kPostgresql = "/usr/lib/postgresql/15/bin";

void run(const std::string& command) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): tests only
  const int status = ::system(command.c_str());
  if (status != 0) fmt::print(stderr, "failed ({}): {}\n", status, command);
  CHECK(status == 0);
}

// PostgreSQL refuses to run as root.
std::string as_postgres(const std::string& command) {
  return ::geteuid() == 0 ? "setpriv --reuid postgres --regid postgres --init-groups " + command : command;
}

class Server {
 public:
  Server() {
    const std::string path = folder_.path().string();
    make_data_folder();
    if (::geteuid() == 0) run(fmt::format("chown -R postgres {}", path));
    run(
        as_postgres(fmt::format("{}/pg_ctl -D {}/data -w -l {}/log -o \"-k {} -c listen_addresses='' -c fsync=off -c "
                                "shared_buffers=16MB\" start"
                                " > {}/start.log < /dev/null",
                                kPostgresql, path, path, path, path)));
    std::ifstream(folder_.path() / "data/postmaster.pid") >> pid_;
    owner_ = ::getpid();
  }
  ~Server() {
    if (owner_ != ::getpid() || pid_ <= 1) return;  // a forked child of a test; 0 would be everybody
    ::kill(pid_, SIGINT);
    for (int i = 0; i < 500 && ::kill(pid_, 0) == 0; ++i) ::usleep(10'000);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // initdb takes seconds, and each test is a process of its own: the first one leaves a copy beside the test programs.
  void make_data_folder() const {
    const std::string path = folder_.path().string();
    const auto copy = std::filesystem::canonical("/proc/self/exe").parent_path() / "postgresql-for-tests";
    if (std::filesystem::exists(copy)) {
      return run(fmt::format("cp -r {} {}/data && chmod 700 {}/data", copy.string(), path, path));
    }
    if (::geteuid() == 0) run(fmt::format("chown postgres {}", path));
    run(as_postgres(fmt::format(
        "{}/initdb -D {}/data -A trust -U lab --no-sync -E UTF8 --locale=C.UTF-8 > {}/initdb.log < /dev/null",
        kPostgresql, path, path)));
    const std::string mine = fmt::format("{}.{}", copy.string(), ::getpid());
    run(fmt::format("cp -r {}/data {}", path, mine));
    std::error_code somebody_was_quicker;
    std::filesystem::rename(mine, copy, somebody_was_quicker);
    if (somebody_was_quicker) std::filesystem::remove_all(mine);
  }

  std::string url(const std::string& name) const {
    return fmt::format("postgresql://lab@/{}?host={}", name, folder_.path().string());
  }

  void execute(const std::string& statement) const {
    PGconn* connection = PQconnectdb(url("postgres").c_str());
    PGresult* result = PQexec(connection, statement.c_str());
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      fmt::print(stderr, "{}: {}\n", statement, PQerrorMessage(connection));
    }
    CHECK(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
    PQclear(result);
    PQfinish(connection);
  }

 private:
  TemporaryFolder folder_;
  pid_t pid_ = 0;
  pid_t owner_ = 0;
};

Server& server() {
  static Server instance;
  return instance;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "atelier-test-XXXXXX").string();
  CHECK(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string new_database_url(Database::Backend backend, const TemporaryFolder& folder) {
  static std::atomic<int> count = 0;
  if (backend == Database::Backend::kSqlite) {
    return fmt::format("sqlite:{}", (folder.path() / fmt::format("test{}.db", ++count)).string());
  }
  const std::string name = fmt::format("test{}", ++count);
  server().execute("create database " + name);
  return server().url(name);
}

void cut_connections(const std::string& url) {
  const std::size_t begin = url.find("@/") + 2;
  const std::string name = url.substr(begin, url.find('?') - begin);
  server().execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + name + "'");
}

}  // namespace atelier::db::testing
