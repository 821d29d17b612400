#include "ops/submit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "db/database_test_parts.h"
#include "db/operations.h"

namespace atelier::ops {
namespace {

using db::Database;
using db::Transaction;

class SubmitTest : public ::testing::TestWithParam<Database::Backend> {
 protected:
  Result<std::string> try_submit(const NewOperation& operation) {
    return database_->write([&](Transaction& t) { return submit(t, operation); });
  }
  std::vector<std::string> ids(const Query& query) {
    std::vector<std::string> found;
    const auto operations = database_->read([&](Transaction& t) { return list(t, query); }).value();
    for (const Operation& operation : operations) found.push_back(operation.id);
    return found;
  }
  // Ends the oldest queued operation, as a runner would.
  std::string end_one(const std::string& state) {
    return database_
        ->write([&](Transaction& t) -> Result<std::string> {
          const auto claimed =
              TRY(db::claim_operation(t, {.kinds = {"Run"}, .lease = "l", .lease_time = std::chrono::seconds(9)}));
          EXPECT_TRUE(TRY(db::finish_operation(t, claimed->row.id, "l", {.state = state})));
          return claimed->row.id;
        })
        .value();
  }

  db::testing::TemporaryFolder folder_;
  std::unique_ptr<Database> database_ =
      Database::open({.url = db::testing::new_database_url(GetParam(), folder_)}).value();
};

TEST_P(SubmitTest, AnOperationIsFoundAsItWasSubmitted) {
  const std::string id = try_submit({.kind = "ExportImage",
                                     .subscription_id = "S1",
                                     .location = "japaneast",
                                     .target_id = "/subscriptions/S1/x",
                                     .principal = "alice",
                                     .input = {{"name", "日本"}}})
                             .value();
  const Operation found = database_->read([&](Transaction& t) { return find(t, id); }).value().value();
  EXPECT_EQ(found.id, id);
  EXPECT_EQ(found.kind, "ExportImage");
  EXPECT_EQ(found.subscription_id, "S1");
  EXPECT_EQ(found.location, "japaneast");
  EXPECT_EQ(found.target_id, "/subscriptions/S1/x");
  EXPECT_EQ(found.principal, "alice");
  EXPECT_EQ(found.input.at("name"), "日本");
  EXPECT_EQ(found.state, State::kNotStarted);
  EXPECT_FALSE(found.started_at.has_value());
  EXPECT_FALSE(database_->read([&](Transaction& t) { return find(t, "no-such"); }).value().has_value());
}

TEST_P(SubmitTest, AnExclusiveKeyIsTakenUntilItsOperationEnds) {
  const std::string first = try_submit({.kind = "Run", .target_id = "/a", .exclusive_key = "Export /A"}).value();
  const auto second = try_submit({.kind = "Run", .target_id = "/a", .exclusive_key = "export /a"});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), Code::kConflict);
  EXPECT_EQ(second.error().target(), first);
  EXPECT_NE(second.error().message().find(first), std::string::npos);
  EXPECT_TRUE(try_submit({.kind = "Run", .target_id = "/b", .exclusive_key = "export /b"}).has_value());
  EXPECT_TRUE(try_submit({.kind = "Run", .target_id = "/a"}).has_value());
  EXPECT_TRUE(try_submit({.kind = "Run", .target_id = "/a"}).has_value());
  EXPECT_EQ(end_one("Failed"), first);
  EXPECT_TRUE(try_submit({.kind = "Run", .target_id = "/a", .exclusive_key = "export /a"}).has_value());
}

TEST_P(SubmitTest, OfManyThatSubmitOneExclusiveKeyAtOnceExactlyOneWins) {
  std::atomic<int> won = 0;
  std::atomic<int> conflicts = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const auto id = try_submit({.kind = "Run", .exclusive_key = "k"});
      if (id) ++won;
      if (!id && id.error().code() == Code::kConflict) ++conflicts;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(conflicts, 5);
}

TEST_P(SubmitTest, ARolledBackRequestLeavesNoOperation) {
  const Status status = database_->write([](Transaction& t) -> Status {
    TRY(submit(t, {.kind = "Run"}));
    return fail(Code::kInvalidArgument, "changed my mind");
  });
  EXPECT_FALSE(status.has_value());
  EXPECT_TRUE(ids({}).empty());
}

TEST_P(SubmitTest, ListsAreNewestFirstFilteredAndPaged) {
  std::vector<std::string> all;
  for (int i = 0; i < 9; ++i) {
    all.push_back(try_submit({.kind = "Run",
                              .subscription_id = i % 3 == 0 ? "S1" : "S2",
                              .target_id = fmt::format("/labs/{}", i % 2 == 0 ? "a" : "a%")})
                      .value());
  }
  const std::vector<std::string> listed = ids({});
  EXPECT_TRUE(std::is_permutation(listed.begin(), listed.end(), all.begin(), all.end()));
  EXPECT_EQ(ids({.subscription_id = "s1"}).size(), 3U);
  EXPECT_EQ(ids({.target_prefix = "/LABS/a"}).size(), 5U);
  EXPECT_EQ(ids({.target_prefix = "/labs"}).size(), 9U);
  EXPECT_EQ(ids({.target_prefix = "/lab"}).size(), 0U);

  const std::string succeeded = end_one("Succeeded");
  EXPECT_EQ(ids({.state = State::kSucceeded}), std::vector<std::string>{succeeded});
  EXPECT_EQ(ids({.unfinished_only = true}).size(), 8U);

  std::vector<std::string> paged;
  Query query{.limit = 4};
  while (true) {
    const std::vector<std::string> page = ids(query);
    paged.insert(paged.end(), page.begin(), page.end());
    if (page.size() < query.limit) break;
    query.after = page.back();
  }
  EXPECT_EQ(paged, listed);
  const auto gone = database_->read([](Transaction& t) { return list(t, {.after = "no-such"}); });
  EXPECT_EQ(gone.error().code(), Code::kInvalidArgument);
}

TEST_P(SubmitTest, TheNewestComesFirst) {
  const std::string old = try_submit({.kind = "Run"}).value();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const std::string young = try_submit({.kind = "Run"}).value();
  EXPECT_EQ(ids({}), (std::vector<std::string>{young, old}));
}

TEST_P(SubmitTest, ALeaseThatWasTakenOverNoLongerCounts) {
  const std::string id = try_submit({.kind = "Run"}).value();
  const auto claim = [&](const std::string& lease, std::chrono::milliseconds time) {
    return database_
        ->write([&](Transaction& t) {
          return db::claim_operation(t, {.kinds = {"Run"}, .lease = lease, .lease_time = time});
        })
        .value();
  };
  ASSERT_TRUE(claim("one", std::chrono::milliseconds(0)).has_value());
  ASSERT_TRUE(claim("two", std::chrono::hours(1)).has_value());
  EXPECT_FALSE(claim("three", std::chrono::hours(1)).has_value());
  const Status status = database_->write([&](Transaction& t) -> Status {
    EXPECT_FALSE(TRY(db::renew_lease(t, id, "one", std::chrono::hours(1))).held);
    EXPECT_FALSE(TRY(db::write_progress(t, id, "one", {})).held);
    EXPECT_FALSE(TRY(db::finish_operation(t, id, "one", {.state = "Succeeded"})));
    EXPECT_FALSE(TRY(db::requeue_operation(t, id, "one", std::chrono::seconds(0), db::AttemptCounts::kYes)));
    EXPECT_TRUE(TRY(db::renew_lease(t, id, "two", std::chrono::hours(1))).held);
    return {};
  });
  EXPECT_TRUE(status.has_value());
}

INSTANTIATE_TEST_SUITE_P(Backends, SubmitTest,
                         ::testing::Values(Database::Backend::kSqlite, Database::Backend::kPostgresql),
                         db::testing::backend_name);

TEST(Operation, PercentAndEtaComeFromTheBytes) {
  Operation operation;
  operation.state = State::kInProgress;
  EXPECT_EQ(percent_complete(operation), 0);
  EXPECT_EQ(eta_seconds(operation), std::nullopt);
  operation.progress.bytes_total = 1000;
  operation.progress.bytes_done = 425;
  operation.bytes_per_second = 100;
  EXPECT_DOUBLE_EQ(percent_complete(operation), 42.5);
  EXPECT_EQ(eta_seconds(operation), 6);
  operation.progress.bytes_done = 1000;
  EXPECT_DOUBLE_EQ(percent_complete(operation), 99.9);
  EXPECT_EQ(eta_seconds(operation), 0);
  operation.state = State::kSucceeded;
  EXPECT_EQ(percent_complete(operation), 100);
}

TEST(Operation, StatesAreAzuresWordsInAnyCase) {
  for (const State state :
       {State::kNotStarted, State::kInProgress, State::kSucceeded, State::kFailed, State::kCanceled}) {
    EXPECT_EQ(parse_state(to_lower(to_string(state))), state);
  }
  EXPECT_EQ(parse_state("Running").error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace atelier::ops
