#include "catalog/image_version.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>

#include "catalog/arm_id.h"
#include "db/database.h"

namespace atelier::catalog {
namespace {

class ImageVersionTest : public ::testing::Test {
 protected:
  ImageVersionTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "catalog-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    database_ = db::Database::open({.url = "sqlite:" + (folder_ / "t.db").string()}).value();
  }
  ~ImageVersionTest() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  db::Resource version(const std::string& number, ReplicaState state, json::object publishing = {}) {
    const ArmId id = definition_.child("versions", number);
    db::Resource row;
    row.id = id.text();
    row.type = kVersionType;
    row.name = number;
    row.parent_id = id.parent_text();
    row.subscription_id = "s";
    row.provisioning_state = "Succeeded";
    row.properties = {{"publishingProfile", std::move(publishing)}};
    ImageVersion model;
    model.root = std::string(64, 'a');
    model.disk_bytes = 1 << 20;
    model.replicas["japaneast"].state = state;
    keep_image_version(row, model);
    return row;
  }
  void insert(db::Resource row) {
    ASSERT_TRUE(database_->write([&](db::Transaction& t) { return db::insert_resource(t, row); }));
  }
  Result<db::Resource> newest(const std::string& region) {
    return database_->read([&](db::Transaction& t) { return newest_usable_version(t, definition_.text(), region); });
  }
  Result<db::Resource> resolve(const std::string& id) {
    return database_->read([&](db::Transaction& t) { return resolve_image(t, id, "japaneast", "imageReference.id"); });
  }

  const ArmId definition_ = ArmId::of_resource("s", "rg", kGalleryType, "g").child("images", "i");
  std::filesystem::path folder_;
  std::unique_ptr<db::Database> database_;
};

TEST_F(ImageVersionTest, TheModelComesBackAsItWasKept) {
  db::Resource row = version("1.0.0", ReplicaState::kFailed);
  ImageVersion model = image_version_of(row);
  model.replicas["japaneast"].details = "disk full";
  model.replicas["japanwest"] = {
      .state = ReplicaState::kReplicating, .progress = 7, .bytes_sent = 8, .details = {}, .operation_id = "op"};
  keep_image_version(row, model);
  const ImageVersion again = image_version_of(row);
  EXPECT_EQ(again.root, model.root);
  EXPECT_EQ(again.disk_bytes, model.disk_bytes);
  EXPECT_EQ(again.replicas.at("japaneast").details, "disk full");
  EXPECT_EQ(again.replicas.at("japanwest").state, ReplicaState::kReplicating);
  EXPECT_EQ(again.replicas.at("japanwest").operation_id, "op");
  EXPECT_EQ(again.replicas.at("japanwest").bytes_sent, 8U);
}

TEST_F(ImageVersionTest, TheNewestIsTheGreatestByNumberAmongTheUsable) {
  insert(version("1.2.0", ReplicaState::kCompleted));
  insert(version("1.10.0", ReplicaState::kCompleted));
  insert(version("2.0.0", ReplicaState::kReplicating));
  EXPECT_EQ(newest("Japan East")->name, "1.10.0");
  const auto elsewhere = newest("westus2");
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().reason(), "GalleryImageNotFound");
}

TEST_F(ImageVersionTest, ExcludedVersionsAreNotTheNewestAndTheRegionsFlagWins) {
  insert(version("1.0.0", ReplicaState::kCompleted));
  insert(version("1.0.1", ReplicaState::kCompleted, {{"excludeFromLatest", true}}));
  EXPECT_EQ(newest("japaneast")->name, "1.0.0");
  insert(version("1.0.2", ReplicaState::kCompleted,
                 {{"excludeFromLatest", true},
                  {"targetRegions", json::array{json::object{{"name", "Japan East"}, {"excludeFromLatest", false}}}}}));
  EXPECT_EQ(newest("japaneast")->name, "1.0.2");
}

TEST_F(ImageVersionTest, ADeletedOrUnfinishedVersionIsNotUsable) {
  for (const char* state : {"Creating", "Deleting", "Failed"}) {
    db::Resource row = version("1.0.0", ReplicaState::kCompleted);
    row.provisioning_state = state;
    EXPECT_FALSE(is_usable_in(row, "japaneast")) << state;
  }
  db::Resource without_bytes = version("1.0.0", ReplicaState::kCompleted);
  without_bytes.internal["root"] = "";
  EXPECT_FALSE(is_usable_in(without_bytes, "japaneast"));
}

TEST_F(ImageVersionTest, AnIdMeansTheVersionOrTheNewestOfTheDefinition) {
  db::Resource definition;
  definition.id = definition_.text();
  definition.type = kDefinitionType;
  insert(definition);
  insert(version("1.0.0", ReplicaState::kCompleted));
  insert(version("1.0.1", ReplicaState::kCompleted));
  EXPECT_EQ(resolve(definition_.text())->name, "1.0.1");
  EXPECT_EQ(resolve(definition_.child("versions", "1.0.0").text())->name, "1.0.0");
  EXPECT_EQ(resolve(definition_.child("versions", "9.0.0").text()).error().reason(), "GalleryImageNotFound");
  const auto wrong = resolve("/subscriptions/s/resourceGroups/rg");
  EXPECT_EQ(wrong.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(wrong.error().target(), "imageReference.id");
}

}  // namespace
}  // namespace atelier::catalog
