#include "ops/job.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace atelier::ops {
namespace {

TEST(Job, ProgressIsTakenOnceAndGivesARate) {
  Job job({}, "lease", std::chrono::seconds(10));
  EXPECT_EQ(job.take_changed_progress(), std::nullopt);
  job.report({.phase = "Reading", .bytes_done = 0, .bytes_total = 1 << 30});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  job.report({.phase = "Reading", .bytes_done = 1 << 29, .bytes_total = 1 << 30});
  const auto progress = job.take_changed_progress();
  ASSERT_TRUE(progress.has_value());
  EXPECT_EQ(progress->at("bytesDone"), 1 << 29);
  EXPECT_GT(progress->at("bytesPerSecond").to_number<std::uint64_t>(), 0U);
  EXPECT_EQ(job.take_changed_progress(), std::nullopt);
}

TEST(Job, CountingAnewNeverGivesANegativeRate) {
  Job job({}, "lease", std::chrono::seconds(10));
  job.report({.phase = "Reading", .bytes_done = 1000, .bytes_total = 1000});
  job.report({.phase = "Copying", .bytes_done = 10, .bytes_total = 1000});
  EXPECT_EQ(job.progress_now().at("bytesDone"), 10);
  EXPECT_LT(job.progress_now().at("bytesPerSecond").to_number<std::uint64_t>(), 1'000'000'000'000U);
}

TEST(Job, ManyThreadsMayReport) {
  Job job({}, "lease", std::chrono::milliseconds(1));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      TaskContext context = job.context();
      for (std::uint64_t done = 0; done < 2000; ++done) context.report({.phase = "Reading", .bytes_done = done});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(job.take_changed_progress().has_value());
}

TEST(Job, CanceledAndLostAreDifferentReasonsToStop) {
  Job canceled({}, "lease", std::chrono::seconds(10));
  canceled.cancel();
  EXPECT_TRUE(canceled.context().stop_requested());
  EXPECT_TRUE(canceled.is_canceled());
  EXPECT_FALSE(canceled.is_lost());
  Job lost({}, "lease", std::chrono::seconds(10));
  lost.lose();
  EXPECT_TRUE(lost.context().stop_requested());
  EXPECT_TRUE(lost.is_lost());
  EXPECT_FALSE(lost.is_canceled());
}

}  // namespace
}  // namespace atelier::ops
