#include "db/resources.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "db/database_test_parts.h"
#include "db/transaction.h"

namespace atelier::db {
namespace {

constexpr auto kGroup = "/subscriptions/S1/resourceGroups/rg";

Resource resource(std::string_view parent, std::string_view type, std::string_view name) {
  Resource made;
  made.id = fmt::format("{}/{}/{}", parent, type, name);
  made.type = std::string(type);
  made.name = std::string(name);
  made.parent_id = std::string(parent);
  made.subscription_id = "S1";
  made.resource_group = "rg";
  made.location = "japaneast";
  made.provisioning_state = "Succeeded";
  made.created_by = made.changed_by = "admin";
  return made;
}

class ResourcesTest : public ::testing::TestWithParam<Database::Backend> {
 protected:
  template <typename Function>
  auto write(Function&& fn) {
    return database_->write(std::forward<Function>(fn));
  }
  template <typename Function>
  auto read(Function&& fn) {
    return database_->read(std::forward<Function>(fn)).value();
  }
  void insert(const Resource& made) {
    const Status status = write([&](Transaction& t) {
      Resource copy = made;
      return insert_resource(t, copy);
    });
    ASSERT_TRUE(status.has_value()) << status.error().message();
  }
  std::optional<Resource> find(const std::string& id) {
    return read([&](Transaction& t) { return find_resource(t, id); });
  }
  std::vector<std::string> names(const ResourceQuery& query) {
    std::vector<std::string> found;
    for (const Resource& each : read([&](Transaction& t) { return list_resources(t, query); })) {
      found.push_back(each.name);
    }
    return found;
  }

  testing::TemporaryFolder folder_;
  std::string url_ = testing::new_database_url(GetParam(), folder_);
  std::unique_ptr<Database> database_ = Database::open({.url = url_}).value();
};

using Names = std::vector<std::string>;

TEST_P(ResourcesTest, AResourceComesBackAsItWasWritten) {
  Resource made = resource(kGroup, "Galleries", "日本語 100%_'\"\\");
  made.tags = {{"課", "情報"}, {"nul", std::string("a\0b", 3)}};
  made.properties = {{"n", 18446744073709551615U}, {"nested", {{"x", {1, 2.5, nullptr, true}}}}};
  made.internal = {{"root", "ab"}};
  insert(made);
  const Resource found = find(made.id).value();
  EXPECT_EQ(found.id, made.id);
  EXPECT_EQ(found.tags, made.tags);
  EXPECT_EQ(found.properties, made.properties);
  EXPECT_EQ(found.internal, made.internal);
  EXPECT_EQ(found.type, "Galleries");
  EXPECT_EQ(found.parent_id, kGroup);
  EXPECT_EQ(found.location, "japaneast");
  EXPECT_EQ(found.provisioning_state, "Succeeded");
  EXPECT_EQ(found.revision, 1);
  EXPECT_EQ(found.created_at, found.changed_at);
  EXPECT_NE(found.created_at, TimePoint());
}

TEST_P(ResourcesTest, IdsCompareInAnyCaseAndKeepTheirFirstSpelling) {
  const Resource made = resource(kGroup, "Galleries", "MyGallery");
  insert(made);
  EXPECT_EQ(find(to_lower(made.id))->id, made.id);
  const Status again = write([&](Transaction& t) {
    Resource other = resource(to_lower(kGroup), "galleries", "mygallery");
    return insert_resource(t, other);
  });
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
  EXPECT_TRUE(write([&](Transaction& t) { return erase_resource(t, to_lower(made.id)); }).has_value());
  EXPECT_FALSE(find(made.id).has_value());
  EXPECT_TRUE(write([&](Transaction& t) { return erase_resource(t, made.id); }).has_value());
}

TEST_P(ResourcesTest, ATakenNameDoesNotSpoilTheTransaction) {
  insert(resource(kGroup, "g", "a"));
  const Status status = write([&](Transaction& t) -> Status {
    Resource taken = resource(kGroup, "g", "a");
    EXPECT_EQ(insert_resource(t, taken).error().code(), Code::kAlreadyExists);
    Resource other = resource(kGroup, "g", "b");
    return insert_resource(t, other);
  });
  EXPECT_TRUE(status.has_value());
  EXPECT_TRUE(find(resource(kGroup, "g", "b").id).has_value());
}

TEST_P(ResourcesTest, StrangeIdsAreRefusedAndNeverFound) {
  for (const std::string& id : {std::string("no/slash"), std::string("/ends/"), std::string("/a\nb"), std::string(""),
                                std::string("/a\0b", 4)}) {
    const Status status = write([&](Transaction& t) {
      Resource made = resource(kGroup, "g", "a");
      made.id = id;
      return insert_resource(t, made);
    });
    EXPECT_EQ(status.error().code(), Code::kInvalidArgument) << id;
    EXPECT_FALSE(find(id).has_value());
  }
}

TEST_P(ResourcesTest, AnUpdateBumpsTheRevisionAndAStaleOneConflicts) {
  insert(resource(kGroup, "g", "a"));
  Resource first = find(resource(kGroup, "g", "a").id).value();
  Resource second = first;
  first.properties["x"] = 1;
  ASSERT_TRUE(write([&](Transaction& t) { return update_resource(t, first); }).has_value());
  EXPECT_EQ(first.revision, 2);
  EXPECT_EQ(find(first.id)->properties.at("x"), 1);
  EXPECT_EQ(write([&](Transaction& t) { return update_resource(t, second); }).error().code(), Code::kConflict);
  EXPECT_EQ(second.revision, 1);
  Resource absent = resource(kGroup, "g", "absent");
  EXPECT_EQ(write([&](Transaction& t) { return update_resource(t, absent); }).error().code(), Code::kNotFound);
}

TEST_P(ResourcesTest, OfManyThreadsThatChangeOneRevisionExactlyOneWins) {
  insert(resource(kGroup, "g", "a"));
  const Resource read_once = find(resource(kGroup, "g", "a").id).value();
  std::atomic<int> won = 0;
  std::atomic<int> conflicts = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const Status status = database_->write([&](Transaction& t) {
        Resource mine = read_once;
        return update_resource(t, mine);
      });
      if (status.has_value()) ++won;
      if (!status.has_value() && status.error().code() == Code::kConflict) ++conflicts;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(conflicts, 5);
}

TEST_P(ResourcesTest, AScopeIsWholeSegmentsWhateverTheNameHolds) {
  for (const char* group : {"rg", "rg2", "r", "r%", "r_", "rg-1", "rg.1"}) {
    const std::string scope = fmt::format("/subscriptions/S1/resourceGroups/{}", group);
    insert(resource("/subscriptions/S1", "resourceGroups", group));
    insert(resource(scope, "g", fmt::format("in {}", group)));
    insert(resource(scope + "/g/x", "v", fmt::format("deep in {}", group)));
  }
  EXPECT_EQ(names({.scope_id = kGroup}), (Names{"in rg", "deep in rg"}));
  EXPECT_EQ(names({.scope_id = "/SUBSCRIPTIONS/s1/resourcegroups/R"}), (Names{"in r", "deep in r"}));
  EXPECT_EQ(names({.scope_id = "/subscriptions/S1/resourceGroups/r%"}), (Names{"in r%", "deep in r%"}));
  EXPECT_EQ(names({.scope_id = "/subscriptions/S1/resourceGroups/r_"}), (Names{"in r_", "deep in r_"}));
  EXPECT_EQ(names({.type = "V", .scope_id = kGroup}), (Names{"deep in rg"}));
  EXPECT_EQ(names({.type = "G", .parent_id = kGroup}), (Names{"in rg"}));
  EXPECT_EQ(names({.type = "v", .parent_id = kGroup}), Names{});
  EXPECT_EQ(names({.parent_id = "/subscriptions/S1"}).size(), 7U);
  EXPECT_EQ(names({.scope_id = "/subscriptions/s1"}).size(), 21U);
  EXPECT_EQ(names({}).size(), 21U);
  EXPECT_EQ(read([](Transaction& t) { return count_children(t, "/subscriptions/s1"); }), 7U);
  EXPECT_EQ(read([](Transaction& t) { return count_children(t, "/subscriptions/S1/resourceGroups/r_"); }), 1U);
}

TEST_P(ResourcesTest, PagesJoinToTheWholeListInOrder) {
  for (int i = 0; i < 25; ++i) insert(resource(kGroup, "g", fmt::format("{}{:02}", i % 2 == 0 ? "A" : "a", i)));
  Names all;
  ResourceQuery query{.type = "g", .scope_id = kGroup, .limit = 10};
  while (true) {
    const auto page = read([&](Transaction& t) { return list_resources(t, query); });
    for (const Resource& each : page) all.push_back(to_lower(each.name));
    if (page.size() < query.limit) break;
    query.after_id = page.back().id;
  }
  Names expected;
  for (int i = 0; i < 25; ++i) expected.push_back(fmt::format("a{:02}", i));
  EXPECT_EQ(all, expected);
}

INSTANTIATE_TEST_SUITE_P(Backends, ResourcesTest,
                         ::testing::Values(Database::Backend::kSqlite, Database::Backend::kPostgresql),
                         testing::backend_name);

TEST(SqliteResources, AScopeIsSearchedByAnIndex) {
  const testing::TemporaryFolder folder;
  const auto url = testing::new_database_url(Database::Backend::kSqlite, folder);
  const auto database = Database::open({.url = url}).value();
  for (const std::string conditions : {"key > '/a/' and key < '/a0'", "key > '/a/' and key < '/a0' and type_key = 'g'",
                                       "key > '/a/' and key < '/a0' and parent_key = '/a'"}) {
    const auto plan = database->read([&](Transaction& t) {
      return guarded(t, "explain", [&]() -> Result<std::string> {
        std::string detail;
        Number ignored = 0;
        t.sql() << "explain query plan select id from resources where " + conditions + " order by key limit 5",
            soci::into(ignored), soci::into(ignored), soci::into(ignored), soci::into(detail);
        return detail;
      });
    });
    EXPECT_TRUE(plan->starts_with("SEARCH resources USING INDEX")) << *plan;
    EXPECT_EQ(plan->find("TEMP B-TREE"), std::string::npos) << *plan;
  }
}

}  // namespace
}  // namespace atelier::db
