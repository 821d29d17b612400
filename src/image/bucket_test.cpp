// What every bucket must do; each bucket runs all of it.
#include "image/bucket.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <array>

#include <atomic>
#include <functional>
#include <thread>

#include "image/directory_bucket.h"
#include "image/faulty_bucket.h"
#include "image/memory_bucket.h"
#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Bucket>(const TestFolder&)> open;
};

class BucketConformance : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { bucket_ = GetParam().open(folder_); }

  static std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
  std::string text_of(std::string_view name) {
    const auto bytes = get_all(*bucket_, name, 1 << 20);
    if (!bytes) return "error: " + std::string(to_string(bytes.error().code()));
    return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
  }

  TestFolder folder_;
  std::unique_ptr<Bucket> bucket_;
};

TEST_P(BucketConformance, GivesBackWhatWasPut) {
  ASSERT_OK(bucket_->put("packs/ab/one", bytes_of("first")));
  ASSERT_OK(bucket_->put("format.json", bytes_of("")));
  EXPECT_EQ(text_of("packs/ab/one"), "first");
  EXPECT_EQ(text_of("format.json"), "");
  EXPECT_EQ(bucket_->size("packs/ab/one").value(), 5u);
  EXPECT_EQ(bucket_->size("format.json").value(), 0u);
}

TEST_P(BucketConformance, NeverOverwrites) {
  ASSERT_OK(bucket_->put("images/x", bytes_of("first")));
  const Status again = bucket_->put("images/x", bytes_of("second"));
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
  EXPECT_EQ(text_of("images/x"), "first");
}

TEST_P(BucketConformance, ReadsRangesAndStopsAtTheEnd) {
  ASSERT_OK(bucket_->put("packs/r", bytes_of("0123456789")));
  Disk into(4);
  EXPECT_EQ(bucket_->get("packs/r", 3, into).value(), 4u);
  EXPECT_EQ(std::to_integer<char>(into[0]), '3');
  EXPECT_EQ(bucket_->get("packs/r", 8, into).value(), 2u);
  EXPECT_EQ(bucket_->get("packs/r", 10, into).value(), 0u);
  EXPECT_EQ(bucket_->get("packs/r", 1000, into).value(), 0u);
}

TEST_P(BucketConformance, SaysWhenThereIsNoSuchObject) {
  Disk into(1);
  EXPECT_EQ(bucket_->get("packs/none", 0, into).error().code(), Code::kNotFound);
  EXPECT_EQ(bucket_->size("packs/none").error().code(), Code::kNotFound);
  EXPECT_EQ(bucket_->size("none/at/all").error().code(), Code::kNotFound);
}

TEST_P(BucketConformance, ListsByPrefixInOrder) {
  for (const char* const name : {"packs/ab/2", "packs/ab/1", "packs/cd/3", "packsx/4", "images/5"}) {
    ASSERT_OK(bucket_->put(name, bytes_of(name)));
  }
  const auto packs = bucket_->list("packs/");
  ASSERT_OK(packs);
  const std::vector<BucketEntry> expected{{"packs/ab/1", 10}, {"packs/ab/2", 10}, {"packs/cd/3", 10}};
  EXPECT_EQ(*packs, expected);
  EXPECT_EQ(bucket_->list("packs/ab/").value().size(), 2u);
  EXPECT_TRUE(bucket_->list("nothing/").value().empty());
  EXPECT_EQ(bucket_->list("packs").error().code(), Code::kInvalidArgument);
}

TEST_P(BucketConformance, ErasesAndForgivesTwice) {
  ASSERT_OK(bucket_->put("images/x", bytes_of("first")));
  EXPECT_EQ(text_of("images/x"), "first");
  EXPECT_OK(bucket_->erase("images/x"));
  EXPECT_OK(bucket_->erase("images/x"));
  EXPECT_EQ(bucket_->size("images/x").error().code(), Code::kNotFound);
  EXPECT_TRUE(bucket_->list("images/").value().empty());
  ASSERT_OK(bucket_->put("images/x", bytes_of("second")));
  EXPECT_EQ(text_of("images/x"), "second");
}

TEST_P(BucketConformance, RefusesNamesThatAreNotLegal) {
  for (const char* const name : {"", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", ".new/a", "a b", "a\nb", "\xff"}) {
    EXPECT_EQ(bucket_->put(name, bytes_of("x")).error().code(), Code::kInvalidArgument) << name;
    EXPECT_FALSE(bucket_->size(name).has_value()) << name;
    EXPECT_FALSE(bucket_->erase(name).has_value()) << name;
  }
  EXPECT_FALSE(bucket_->put(std::string(201, 'a'), bytes_of("x")).has_value());
}

TEST_P(BucketConformance, LetsOneOfManyThreadsMakeAnObject) {
  std::atomic<int> made{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, text = std::string(100000, static_cast<char>('a' + i))] {
      const Status put = bucket_->put("packs/same", bytes_of(text));
      if (put) ++made;
      if (!put && put.error().code() == Code::kAlreadyExists) ++refused;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(refused, 7);
  const std::string text = text_of("packs/same");
  EXPECT_EQ(text, std::string(100000, text.front()));
}

TEST_P(BucketConformance, KeepsObjectsWhenLeftoversAreRemoved) {
  ASSERT_OK(bucket_->put("images/x", bytes_of("first")));
  EXPECT_OK(bucket_->remove_leftovers());
  EXPECT_EQ(text_of("images/x"), "first");
}

INSTANTIATE_TEST_SUITE_P(
    All, BucketConformance,
    testing::Values(
        Kind{"Directory",
             [](const TestFolder& folder) -> std::unique_ptr<Bucket> {
               return std::move(DirectoryBucket::open(folder.path() / "bucket", Access::kReadWrite)).value();
             }},
        Kind{"Memory", [](const TestFolder&) -> std::unique_ptr<Bucket> { return std::make_unique<MemoryBucket>(); }},
        Kind{"FaultyThatDoesNotFail",
             [](const TestFolder&) -> std::unique_ptr<Bucket> {
               return std::make_unique<FaultyBucket>(std::make_unique<MemoryBucket>(), FaultPlan{});
             }}),
    [](const auto& kind) { return std::string(kind.param.name); });

TEST(DirectoryBucket, RemovesWhatADeadWriterLeftAndNothingElse) {
  const TestFolder folder;
  const auto bucket = DirectoryBucket::open(folder.path(), Access::kReadWrite).value();
  ASSERT_OK(bucket->put("packs/a", {}));
  std::ofstream(folder.path() / ".new" / "torn") << "half";
  ASSERT_OK(bucket->remove_leftovers());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / ".new"));
  EXPECT_OK(bucket->size("packs/a"));
}

TEST(DirectoryBucket, SeesWhatAnotherErasedAndPutAgain) {
  const TestFolder folder;
  const auto mine = DirectoryBucket::open(folder.path(), Access::kReadWrite).value();
  const auto others = DirectoryBucket::open(folder.path(), Access::kReadWrite).value();
  ASSERT_OK(mine->put("images/x", std::as_bytes(std::span("first", 5))));
  std::array<std::byte, 16> bytes{};
  EXPECT_EQ(mine->get("images/x", 0, bytes).value(), 5u);  // and keeps it open
  ASSERT_OK(others->erase("images/x"));
  EXPECT_EQ(mine->size("images/x").error().code(), Code::kNotFound);
  EXPECT_EQ(mine->get("images/x", 0, bytes).error().code(), Code::kNotFound);
  ASSERT_OK(others->put("images/x", std::as_bytes(std::span("another", 7))));
  EXPECT_EQ(mine->size("images/x").value(), 7u);
}

TEST(DirectoryBucket, OpenForReadingWritesNothing) {
  const TestFolder folder;
  EXPECT_EQ(DirectoryBucket::open(folder.path() / "none", Access::kReadOnly).error().code(), Code::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "none"));
  const auto bucket = DirectoryBucket::open(folder.path(), Access::kReadOnly).value();
  EXPECT_EQ(bucket->put("packs/a", {}).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(bucket->erase("packs/a").error().code(), Code::kFailedPrecondition);
}

TEST(DirectoryBucket, DoesNotFollowAPathThatIsNoFile) {
  const TestFolder folder;
  const auto bucket = DirectoryBucket::open(folder.path(), Access::kReadWrite).value();
  std::filesystem::create_directories(folder.path() / "packs" / "ab");
  EXPECT_EQ(bucket->size("packs/ab").error().code(), Code::kNotFound);
}

TEST(FaultyBucket, FailsTheOperationOfThePlanAndCounts) {
  FaultyBucket bucket(
      std::make_unique<MemoryBucket>(),
      {.fail_at = 1, .effect = FaultPlan::Effect::kHappensUnseen, .afterwards = FaultPlan::Afterwards::kWorks});
  EXPECT_TRUE(bucket.put("a", {}).has_value());
  EXPECT_FALSE(bucket.put("b", {}).has_value());
  EXPECT_TRUE(bucket.size("b").has_value());
  EXPECT_EQ(bucket.counts().operations, 3u);
  EXPECT_EQ(bucket.counts().failures, 1u);
  bucket.restart({.fail_at = 0});
  EXPECT_FALSE(bucket.put("c", {}).has_value());
  EXPECT_FALSE(bucket.size("a").has_value());
}

}  // namespace
}  // namespace atelier::image
