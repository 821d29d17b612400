#include "ops/runner.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <latch>
#include <set>
#include <stdexcept>
#include <thread>

#include "db/database_test_parts.h"
#include "db/settings.h"
#include "ops/submit.h"

namespace atelier::ops {
namespace {

using db::Database;
using db::Transaction;
using std::chrono::milliseconds;

// Quick in all that waits, so that no test does.
Runner::Options quick() {
  Runner::Options options;
  options.lease = milliseconds(3000);
  options.heartbeat = milliseconds(50);
  options.progress_interval = milliseconds(20);
  options.poll = milliseconds(20);
  options.retry_pause_first = milliseconds(5);
  options.retry_pause_max = milliseconds(20);
  return options;
}

class RunnerTest : public ::testing::TestWithParam<Database::Backend> {
 protected:
  static Result<std::string> try_submit(Database& database, const NewOperation& operation) {
    return database.write([&](Transaction& t) { return submit(t, operation); });
  }
  std::string submit_one(const std::string& kind, json::object input = {}) {
    return try_submit(*database_, {.kind = kind, .target_id = "/t", .input = std::move(input)}).value();
  }
  Operation get(const std::string& id) {
    return database_->read([&](Transaction& t) { return find(t, id); }).value().value();
  }
  // Until the condition holds; fails the test after a long time.
  template <typename Condition>
  Operation wait_until(const std::string& id, Condition&& condition) {
    for (int i = 0; i < 6000; ++i) {
      Operation operation = get(id);
      if (condition(operation)) return operation;
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << "waited in vain for operation " << id;
    return get(id);
  }
  Operation wait_for_end(const std::string& id) {
    return wait_until(id, [](const Operation& operation) { return is_finished(operation.state); });
  }
  void cancel(const std::string& id) {
    EXPECT_TRUE(database_->write([&](Transaction& t) { return request_cancel(t, id); }).has_value());
  }
  std::string setting(const std::string& name) {
    return database_->read([&](Transaction& t) { return db::get_setting(t, name); }).value().value_or("absent");
  }

  db::testing::TemporaryFolder folder_;
  std::string url_ = db::testing::new_database_url(GetParam(), folder_);
  std::unique_ptr<Database> database_ = Database::open({.url = url_}).value();
};

// Works until it is asked to stop.
Result<json::object> work_until_stopped(const Operation&, TaskContext& task) {
  while (true) {
    TRY(task.check());
    std::this_thread::sleep_for(milliseconds(2));
  }
}

TEST_P(RunnerTest, AnOperationRunsAndItsResultIsKept) {
  Runner runner(*database_, quick());
  runner.handle("Add", {.run = [](const Operation& operation, TaskContext&) -> Result<json::object> {
                          return json::object{{"sum", int_at(operation.input, "a") + int_at(operation.input, "b")}};
                        },
                        .on_failure = nullptr});
  ASSERT_TRUE(runner.start().has_value());
  const std::string id = submit_one("Add", {{"a", 2}, {"b", 3}});
  runner.wake();
  const Operation operation = wait_for_end(id);
  EXPECT_EQ(operation.state, State::kSucceeded);
  EXPECT_EQ(operation.result.at("sum"), 5);
  EXPECT_EQ(operation.attempts, 1);
  EXPECT_TRUE(operation.started_at.has_value());
  EXPECT_TRUE(operation.ended_at.has_value());
  EXPECT_FALSE(operation.error.has_value());
  EXPECT_EQ(percent_complete(operation), 100);
}

TEST_P(RunnerTest, AFailureKeepsItsErrorAndWhatOnFailureWroteWithIt) {
  Runner runner(*database_, quick());
  runner.handle(
      "Fail",
      {.run = [](const Operation&, TaskContext&) -> Result<json::object> {
         return fail(
             Error(Code::kResourceExhausted, "The disk is full.").with_target("labs/a").with_reason("DiskFull"));
       },
       .on_failure = [](Transaction& t, const Operation& operation,
                        const Error& error) { return db::put_setting(t, operation.target_id, error.message()); }});
  const std::string id = submit_one("Fail");
  ASSERT_TRUE(runner.start().has_value());
  const Operation operation = wait_for_end(id);
  EXPECT_EQ(operation.state, State::kFailed);
  EXPECT_EQ(operation.error->code(), Code::kResourceExhausted);
  EXPECT_EQ(operation.error->message(), "The disk is full.");
  EXPECT_EQ(operation.error->target(), "labs/a");
  EXPECT_EQ(operation.error->reason(), "DiskFull");
  EXPECT_EQ(setting("/t"), "The disk is full.");
}

TEST_P(RunnerTest, AnOnFailureThatFailsDoesNotKeepTheOperationFromEnding) {
  Runner runner(*database_, quick());
  runner.handle("Fail", {.run = [](const Operation&, TaskContext&) -> Result<json::object> {
                           return fail(Code::kInternal, "first");
                         },
                         .on_failure = [](Transaction& t, const Operation&, const Error&) -> Status {
                           TRY(db::put_setting(t, "half", "written"));
                           throw std::runtime_error("in on_failure");
                         }});
  const std::string id = submit_one("Fail");
  ASSERT_TRUE(runner.start().has_value());
  EXPECT_EQ(wait_for_end(id).error->message(), "first");
  EXPECT_EQ(setting("half"), "absent");
}

TEST_P(RunnerTest, AnExceptionFailsTheOperationWithoutTellingItsText) {
  Runner runner(*database_, quick());
  runner.handle("Throw", {.run = [](const Operation&, TaskContext&) -> Result<json::object> {
                            throw std::runtime_error("secret path");
                          },
                          .on_failure = nullptr});
  const std::string id = submit_one("Throw");
  ASSERT_TRUE(runner.start().has_value());
  const Operation operation = wait_for_end(id);
  EXPECT_EQ(operation.state, State::kFailed);
  EXPECT_EQ(operation.error->code(), Code::kInternal);
  EXPECT_EQ(operation.error->message().find("secret"), std::string::npos);
}

TEST_P(RunnerTest, WhatIsUnavailableIsTriedAgainAndFailsAtTheLastAttempt) {
  Runner::Options options = quick();
  options.attempts_max = 4;
  Runner runner(*database_, options);
  runner.handle("Flaky", {.run = [](const Operation& operation, TaskContext&) -> Result<json::object> {
                            if (operation.attempts < int_at(operation.input, "good")) {
                              return fail(Code::kUnavailable, "not yet");
                            }
                            return json::object();
                          },
                          .on_failure = nullptr});
  const std::string good = submit_one("Flaky", {{"good", 3}});
  const std::string bad = submit_one("Flaky", {{"good", 99}});
  ASSERT_TRUE(runner.start().has_value());
  EXPECT_EQ(wait_for_end(good).state, State::kSucceeded);
  EXPECT_EQ(get(good).attempts, 3);
  EXPECT_EQ(wait_for_end(bad).state, State::kFailed);
  EXPECT_EQ(get(bad).attempts, 4);
  EXPECT_EQ(get(bad).error->message(), "not yet");
}

TEST_P(RunnerTest, ACancelReachesARunningJobAndItsOnFailure) {
  Runner runner(*database_, quick());
  runner.handle("Wait", {.run = work_until_stopped,
                         .on_failure = [](Transaction& t, const Operation& operation, const Error& error) {
                           return db::put_setting(t, operation.id, to_string(error.code()));
                         }});
  ASSERT_TRUE(runner.start().has_value());
  const std::string id = submit_one("Wait");
  wait_until(id, [](const Operation& operation) { return operation.state == State::kInProgress; });
  const Status twice = database_->write([&](Transaction& t) -> Status {
    TRY(request_cancel(t, id));
    return request_cancel(t, id);
  });
  EXPECT_TRUE(twice.has_value());
  runner.wake();
  const Operation operation = wait_for_end(id);
  EXPECT_EQ(operation.state, State::kCanceled);
  EXPECT_TRUE(operation.cancel_requested);
  EXPECT_EQ(operation.error->code(), Code::kCanceled);
  EXPECT_EQ(setting(id), "Canceled");
  const Status again = database_->write([&](Transaction& t) { return request_cancel(t, id); });
  EXPECT_EQ(again.error().code(), Code::kFailedPrecondition);
  const Status unknown = database_->write([&](Transaction& t) { return request_cancel(t, "no-such"); });
  EXPECT_EQ(unknown.error().code(), Code::kNotFound);
}

TEST_P(RunnerTest, OneThatIsCanceledBeforeItsStartNeverRuns) {
  Runner runner(*database_, quick());
  std::atomic<bool> ran = false;
  runner.handle("Run", {.run = [&](const Operation&, TaskContext&) -> Result<json::object> {
                          ran = true;
                          return json::object();
                        },
                        .on_failure = nullptr});
  const std::string id = submit_one("Run");
  cancel(id);
  ASSERT_TRUE(runner.start().has_value());
  EXPECT_EQ(wait_for_end(id).state, State::kCanceled);
  EXPECT_FALSE(ran);
}

TEST_P(RunnerTest, StopPutsRunningJobsBackAndTheNextRunnerStartsThemAgain) {
  const std::string id = submit_one("Wait");
  {
    Runner runner(*database_, quick());
    runner.handle("Wait", {.run = work_until_stopped, .on_failure = nullptr});
    ASSERT_TRUE(runner.start().has_value());
    wait_until(id, [](const Operation& operation) { return operation.state == State::kInProgress; });
    runner.stop();
    runner.stop();
    EXPECT_EQ(get(id).state, State::kInProgress);
    EXPECT_EQ(get(id).attempts, 0);
  }
  Runner next(*database_, quick());
  next.handle("Wait", {.run = [](const Operation&, TaskContext&) { return Result<json::object>(json::object()); },
                       .on_failure = nullptr});
  ASSERT_TRUE(next.start().has_value());
  EXPECT_EQ(wait_for_end(id).state, State::kSucceeded);
}

TEST_P(RunnerTest, ACanceledJobThatWasPutBackMayCleanUp) {
  const std::string id = submit_one("Wait");
  {
    Runner runner(*database_, quick());
    runner.handle("Wait", {.run = work_until_stopped, .on_failure = nullptr});
    ASSERT_TRUE(runner.start().has_value());
    wait_until(id, [](const Operation& operation) { return operation.state == State::kInProgress; });
  }
  cancel(id);
  std::atomic<bool> cleaned = false;
  Runner next(*database_, quick());
  next.handle("Wait", {.run = [&](const Operation&, TaskContext& task) -> Result<json::object> {
                         cleaned = true;
                         TRY(task.check());
                         return json::object();
                       },
                       .on_failure = nullptr});
  ASSERT_TRUE(next.start().has_value());
  EXPECT_EQ(wait_for_end(id).state, State::kCanceled);
  EXPECT_TRUE(cleaned);
}

TEST_P(RunnerTest, ProgressIsSeenWhileItRunsAndItsLastWordIsKept) {
  Runner runner(*database_, quick());
  std::latch seen(1);
  runner.handle(
      "Copy",
      {.run = [&](const Operation&, TaskContext& task) -> Result<json::object> {
         for (std::uint64_t done = 1; done <= 1000; ++done) {
           task.report({.phase = "Reading", .bytes_done = done, .bytes_total = 4000});
         }
         seen.wait();
         task.report(
             {.phase = "Committing", .bytes_done = 4000, .bytes_total = 4000, .bytes_new = 1000, .bytes_known = 3000});
         return json::object();
       },
       .on_failure = nullptr});
  const std::string id = submit_one("Copy");
  ASSERT_TRUE(runner.start().has_value());
  const Operation running =
      wait_until(id, [](const Operation& operation) { return operation.progress.bytes_done == 1000; });
  EXPECT_EQ(running.state, State::kInProgress);
  EXPECT_EQ(running.progress.phase, "Reading");
  EXPECT_EQ(percent_complete(running), 25);
  EXPECT_NE(running.progress_at, TimePoint());
  seen.count_down();
  const Operation ended = wait_for_end(id);
  EXPECT_EQ(ended.progress.phase, "Committing");
  EXPECT_EQ(ended.progress.bytes_done, 4000U);
  EXPECT_EQ(ended.progress.bytes_new, 1000U);
  EXPECT_EQ(ended.progress.bytes_known, 3000U);
}

TEST_P(RunnerTest, AKindThatNobodyHandlesStaysInTheQueue) {
  Runner runner(*database_, quick());
  runner.handle("Known", {.run = [](const Operation&, TaskContext&) { return Result<json::object>(json::object()); },
                          .on_failure = nullptr});
  const std::string unknown = submit_one("Unknown");
  const std::string known = submit_one("Known");
  ASSERT_TRUE(runner.start().has_value());
  wait_for_end(known);
  EXPECT_EQ(get(unknown).state, State::kNotStarted);
}

TEST_P(RunnerTest, OldOperationsAreDeletedInBatches) {
  const auto run_all = [&](std::chrono::hours retention, const std::string& wait_for) {
    Runner::Options options = quick();
    options.retention = retention;
    options.retention_batch = 2;
    Runner runner(*database_, options);
    runner.handle("Run", {.run = [](const Operation&, TaskContext&) { return Result<json::object>(json::object()); },
                          .on_failure = nullptr});
    ASSERT_TRUE(runner.start().has_value());
    if (!wait_for.empty()) wait_for_end(wait_for);
    for (int i = 0; i < 500; ++i) {
      const auto all = database_->read([](Transaction& t) { return list(t, {}); }).value();
      if (retention.count() > 0 || all.size() == 1) return;
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << "old operations are still there";
  };
  std::string last;
  for (int i = 0; i < 5; ++i) last = submit_one("Run");
  run_all(std::chrono::hours(1), last);
  submit_one("Unhandled");
  run_all(std::chrono::hours(-1), "");
}

// A process that runs jobs until it is killed in the middle of one; the first job's start is told by the pipe.
[[noreturn]] void run_until_killed(const std::string& url, int pipe) {
  auto database = Database::open({.url = url}).value();
  Runner::Options options = quick();
  options.lease = milliseconds(500);
  Runner runner(*database, options);
  runner.handle("Slow", {.run = [pipe](const Operation&, TaskContext& task) -> Result<json::object> {
                           task.report({.phase = "Reading", .bytes_done = 1, .bytes_total = 2});
                           if (::write(pipe, "x", 1) != 1) ::_exit(1);
                           while (true) ::pause();
                         },
                         .on_failure = nullptr});
  if (!runner.start()) ::_exit(1);
  while (true) ::pause();
}

TEST_P(RunnerTest, AJobOfAKilledProcessIsFinishedByTheNext) {
  const std::string id = submit_one("Slow", {{"x", 1}});
  database_.reset();  // SQLite must not be carried over a fork
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) run_until_killed(url_, pipe[1]);
  ::close(pipe[1]);
  char byte = 0;
  ASSERT_EQ(::read(pipe[0], &byte, 1), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(pipe[0]);

  database_ = Database::open({.url = url_}).value();
  EXPECT_EQ(get(id).state, State::kInProgress);
  Runner runner(*database_, quick());
  runner.handle("Slow", {.run = [](const Operation& operation, TaskContext&) -> Result<json::object> {
                           return json::object{{"x", int_at(operation.input, "x")}};
                         },
                         .on_failure = nullptr});
  ASSERT_TRUE(runner.start().has_value());
  const Operation operation = wait_for_end(id);
  EXPECT_EQ(operation.state, State::kSucceeded);
  EXPECT_EQ(operation.attempts, 2);
  EXPECT_EQ(operation.result.at("x"), 1);
}

INSTANTIATE_TEST_SUITE_P(Backends, RunnerTest,
                         ::testing::Values(Database::Backend::kSqlite, Database::Backend::kPostgresql),
                         db::testing::backend_name);

class PostgresqlRunners : public RunnerTest {};

TEST_P(PostgresqlRunners, TwoOfThemShareAQueueWithoutDoingAJobTwice) {
  constexpr int kJobs = 60;
  std::mutex mutex;
  std::multiset<std::string> ran;
  const Journey journey{.run = [&](const Operation& operation, TaskContext&) -> Result<json::object> {
                          const std::lock_guard lock(mutex);
                          ran.insert(operation.id);
                          return json::object();
                        },
                        .on_failure = nullptr};
  std::vector<std::string> ids;
  for (int i = 0; i < kJobs; ++i) ids.push_back(submit_one("Run"));
  const auto other = Database::open({.url = url_}).value();
  {
    Runner first(*database_, quick());
    Runner second(*other, quick());
    first.handle("Run", journey);
    second.handle("Run", journey);
    ASSERT_TRUE(first.start().has_value());
    ASSERT_TRUE(second.start().has_value());
    for (const std::string& id : ids) EXPECT_EQ(wait_for_end(id).state, State::kSucceeded);
  }
  EXPECT_EQ(ran.size(), static_cast<std::size_t>(kJobs));
  for (const std::string& id : ids) EXPECT_EQ(ran.count(id), 1U);
}

TEST_P(PostgresqlRunners, ACancelReachesTheJobOfAnotherProcessWithItsHeartbeat) {
  const auto other = Database::open({.url = url_}).value();
  Runner runner(*other, quick());
  runner.handle("Wait", {.run = work_until_stopped, .on_failure = nullptr});
  ASSERT_TRUE(runner.start().has_value());
  const std::string id = submit_one("Wait");
  wait_until(id, [](const Operation& operation) { return operation.state == State::kInProgress; });
  cancel(id);
  EXPECT_EQ(wait_for_end(id).state, State::kCanceled);
}

TEST_P(PostgresqlRunners, ARunnerOutlivesARestartOfTheServerSide) {
  Runner runner(*database_, quick());
  std::atomic<int> runs = 0;
  runner.handle("Run", {.run = [&](const Operation&, TaskContext&) -> Result<json::object> {
                          if (++runs == 1) db::testing::cut_connections(url_);
                          return json::object();
                        },
                        .on_failure = nullptr});
  const std::string id = submit_one("Run");
  ASSERT_TRUE(runner.start().has_value());
  for (int i = 0; i < 1000 && runs == 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  for (int i = 0; i < 6000; ++i) {
    const auto operation = database_->read([&](Transaction& t) { return find(t, id); });
    if (operation && is_finished((*operation)->state)) break;
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(get(id).state, State::kSucceeded);
}

INSTANTIATE_TEST_SUITE_P(Backends, PostgresqlRunners, ::testing::Values(Database::Backend::kPostgresql),
                         db::testing::backend_name);

}  // namespace
}  // namespace atelier::ops
