#include "db/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <thread>
#include <vector>

#include "db/database_test_parts.h"
#include "db/settings.h"
#include "db/transaction.h"

namespace atelier::db {
namespace {

using testing::TemporaryFolder;

class DatabaseTest : public ::testing::TestWithParam<Database::Backend> {
 protected:
  std::unique_ptr<Database> open() const {
    auto database = Database::open({.url = url_});
    EXPECT_TRUE(database.has_value()) << database.error().message();
    return std::move(database).value();
  }
  static std::string setting(Database& database, const std::string& name) {
    const auto value = database.read([&](Transaction& t) { return get_setting(t, name); });
    EXPECT_TRUE(value.has_value());
    return value->value_or("absent");
  }

  TemporaryFolder folder_;
  std::string url_ = testing::new_database_url(GetParam(), folder_);
};

TEST_P(DatabaseTest, CommittedValuesAreThereAfterReopening) {
  {
    auto database = open();
    ASSERT_TRUE(database->write([](Transaction& t) { return put_setting(t, "tenant", "テナント"); }).has_value());
    ASSERT_TRUE(database->write([](Transaction& t) { return put_setting(t, "tenant", "it's \"b\" :c"); }).has_value());
  }
  EXPECT_EQ(setting(*open(), "tenant"), "it's \"b\" :c");
}

TEST_P(DatabaseTest, AFailureRollsBackAllThatWasWritten) {
  auto database = open();
  const Status status = database->write([](Transaction& t) -> Status {
    TRY(put_setting(t, "a", "1"));
    return fail(Code::kFailedPrecondition, "no");
  });
  EXPECT_EQ(status.error().code(), Code::kFailedPrecondition);
  EXPECT_THROW(static_cast<void>(database->write([](Transaction& t) -> Status {
                 TRY(put_setting(t, "a", "2"));
                 throw std::runtime_error("thrown by a caller");
               })),
               std::runtime_error);
  EXPECT_EQ(setting(*database, "a"), "absent");
}

TEST_P(DatabaseTest, ACallerThatSwallowsAnErrorDoesNotCommitHalf) {
  auto database = open();
  const Status status = database->write([](Transaction& t) -> Status {
    TRY(put_setting(t, "a", "1"));
    const Status bad = guarded(t, "provoke an error", [&]() -> Status {
      t.sql() << "insert into no_such_table (x) values (1)";
      return {};
    });
    EXPECT_EQ(bad.error().code(), Code::kInternal);
    return {};
  });
  EXPECT_EQ(status.error().code(), Code::kInternal);
  EXPECT_EQ(setting(*database, "a"), "absent");
}

TEST_P(DatabaseTest, ReadsMayNotWriteAndSeeOneSnapshot) {
  auto database = open();
  const Status written = database->read([](Transaction& t) { return put_setting(t, "a", "1"); });
  EXPECT_FALSE(written.has_value());
  const Status status = database->read([&](Transaction& t) -> Status {
    EXPECT_EQ(TRY(get_setting(t, "a")), std::nullopt);
    std::thread([&] {
      EXPECT_TRUE(database->write([](Transaction& other) { return put_setting(other, "a", "2"); }).has_value());
    }).join();
    EXPECT_EQ(TRY(get_setting(t, "a")), std::nullopt);
    return {};
  });
  EXPECT_TRUE(status.has_value());
  EXPECT_EQ(setting(*database, "a"), "2");
}

TEST_P(DatabaseTest, WritersOfSeveralProcessesNeverLoseAnIncrement) {
  auto first = open();
  auto second = open();  // as another process would: it shares nothing with the first
  ASSERT_TRUE(first->write([](Transaction& t) { return put_setting(t, "count", "0"); }).has_value());
  constexpr int kEach = 25;
  std::vector<std::thread> threads;
  for (Database* database : {first.get(), first.get(), second.get(), second.get()}) {
    threads.emplace_back([database] {
      for (int i = 0; i < kEach; ++i) {
        const Status status = database->write([](Transaction& t) -> Status {
          const int count = std::stoi(TRY(get_setting(t, "count")).value());
          return put_setting(t, "count", std::to_string(count + 1));
        });
        EXPECT_TRUE(status.has_value()) << status.error().message();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(setting(*first, "count"), std::to_string(4 * kEach));
}

TEST_P(DatabaseTest, ASchemaThatIsNewerIsRefused) {
  {
    auto database = open();
    ASSERT_TRUE(database
                    ->write([](Transaction& t) {
                      return guarded(t, "age", [&]() -> Status {
                        t.sql() << "update schema_version set version = 999";
                        return {};
                      });
                    })
                    .has_value());
  }
  const auto again = Database::open({.url = url_});
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  EXPECT_NE(again.error().message().find("999"), std::string::npos);
}

TEST_P(DatabaseTest, TwoThatOpenAnEmptyDatabaseAtOnceBothSucceed) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([this] { open(); });
  for (std::thread& thread : threads) thread.join();
}

TEST_P(DatabaseTest, ABusyDatabaseIsUnavailableAndNotAnEndlessWait) {
  auto database = open();
  auto other = Database::open({.url = url_, .wait_max = std::chrono::milliseconds(50)});
  ASSERT_TRUE(other.has_value());
  const Status status = database->write([&](Transaction& t) -> Status {
    TRY(put_setting(t, "a", "1"));
    Status inner;
    std::thread([&] { inner = (*other)->write([](Transaction& u) { return put_setting(u, "a", "2"); }); }).join();
    EXPECT_EQ(inner.error().code(), Code::kUnavailable);
    return {};
  });
  EXPECT_TRUE(status.has_value());
  EXPECT_TRUE((*other)->write([](Transaction& t) { return put_setting(t, "b", "2"); }).has_value());
}

TEST_P(DatabaseTest, NulIsRefusedAndNeverCut) {
  auto database = open();
  const std::string value("a\0b", 3);
  const Status status = database->write([&](Transaction& t) { return put_setting(t, "a", value); });
  EXPECT_EQ(status.error().code(), Code::kInvalidArgument);
}

// Writes numbered settings until it is killed; tells each one that was committed.
[[noreturn]] void write_until_killed(const std::string& url, int pipe) {
  auto database = Database::open({.url = url}).value();
  for (std::int32_t i = 0;; ++i) {
    const Status status = database->write([&](Transaction& t) -> Status {
      TRY(put_setting(t, fmt::format("left{}", i), std::string(2000, 'x')));
      return put_setting(t, fmt::format("right{}", i), std::string(2000, 'x'));
    });
    if (!status.has_value() || ::write(pipe, &i, sizeof i) != sizeof i) ::_exit(1);
  }
}

TEST_P(DatabaseTest, KilledInTheMiddleItKeepsWhatWasAcknowledgedAndHalvesOfNothing) {
  open();
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) write_until_killed(url_, pipe[1]);
  ::close(pipe[1]);
  std::int32_t last = -1;
  while (last < 30 && ::read(pipe[0], &last, sizeof last) == sizeof last) continue;
  ::kill(child, SIGKILL);
  while (::read(pipe[0], &last, sizeof last) == sizeof last) continue;
  ::waitpid(child, nullptr, 0);
  ::close(pipe[0]);

  ASSERT_GE(last, 30);
  auto database = open();
  for (std::int32_t i = 0; i <= last; ++i) EXPECT_NE(setting(*database, fmt::format("right{}", i)), "absent");
  for (std::int32_t i = last; i < last + 3; ++i) {
    EXPECT_EQ(setting(*database, fmt::format("left{}", i)), setting(*database, fmt::format("right{}", i)));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, DatabaseTest,
                         ::testing::Values(Database::Backend::kSqlite, Database::Backend::kPostgresql),
                         testing::backend_name);

TEST(SqliteDatabase, TheFileIsForItsOwnerOnly) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "with space.db";
  const auto database = Database::open({.url = "sqlite:" + path.string()});
  ASSERT_TRUE(database.has_value()) << database.error().message();
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info{};
    ASSERT_EQ(::stat((path.string() + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600) << suffix;
  }
}

TEST(SqliteDatabase, SomeOtherFileIsNotOverwritten) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "notes.txt";
  {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const std::string text(4096, 'n');
    ASSERT_EQ(::write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(file);
  }
  const auto database = Database::open({.url = "sqlite:" + path.string()});
  ASSERT_FALSE(database.has_value());
  EXPECT_EQ(database.error().code(), Code::kDataLoss);
  EXPECT_EQ(std::filesystem::file_size(path), 4096U);
}

TEST(SqliteDatabase, AMissingFolderAndAnUnknownUrlAreNamed) {
  EXPECT_EQ(Database::open({.url = "sqlite:/nowhere/at/all.db"}).error().code(), Code::kNotFound);
  EXPECT_EQ(Database::open({.url = "sqlite:relative.db"}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Database::open({.url = "mysql://x"}).error().code(), Code::kInvalidArgument);
}

TEST(SqliteDatabase, AFullDiskIsResourceExhaustedAndLaterWritesWorkAgain) {
  const TemporaryFolder folder;
  if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "may not mount a tmpfs";
  {
    auto database = Database::open({.url = "sqlite:" + (folder.path() / "a.db").string()}).value();
    Status status;
    int stored = 0;
    while (stored < 1000 && status.has_value()) {
      const std::string name = fmt::format("n{}", stored++);
      status = database->write([&](Transaction& t) { return put_setting(t, name, std::string(20'000, 'x')); });
    }
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code(), Code::kResourceExhausted) << status.error().message();
    EXPECT_EQ(::mount("tmpfs", folder.path().c_str(), "tmpfs", MS_REMOUNT, "size=8m"), 0);
    status = database->write([&](Transaction& t) { return put_setting(t, "after", std::string(20'000, 'x')); });
    EXPECT_TRUE(status.has_value());
    EXPECT_TRUE(database->read([](Transaction& t) { return get_setting(t, "n0"); })->has_value());
  }
  ::umount(folder.path().c_str());
}

TEST(PostgresqlDatabase, GoesOnAfterTheServerCutAllConnections) {
  const TemporaryFolder folder;
  const std::string url = testing::new_database_url(Database::Backend::kPostgresql, folder);
  auto database = Database::open({.url = url, .connections = 2}).value();
  const Status during = database->write([&](Transaction& t) -> Status {
    testing::cut_connections(url);
    return put_setting(t, "a", "1");
  });
  EXPECT_EQ(during.error().code(), Code::kUnavailable) << during.error().message();
  for (int i = 0; i < 4; ++i) {
    const Status after = database->write([](Transaction& t) { return put_setting(t, "b", "2"); });
    EXPECT_TRUE(after.has_value()) << after.error().message();
  }
  testing::cut_connections(url);
  EXPECT_EQ(database->read([](Transaction& t) { return get_setting(t, "b"); })->value(), "2");
}

TEST(PostgresqlDatabase, AServerThatIsNotThereIsUnavailable) {
  const auto database = Database::open({.url = "postgresql://lab@/x?host=/nowhere"});
  ASSERT_FALSE(database.has_value());
  EXPECT_EQ(database.error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace atelier::db
