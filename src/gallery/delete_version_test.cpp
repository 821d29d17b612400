#include "gallery/delete_version.h"

#include <gtest/gtest.h>

#include "gallery/definition.h"
#include "gallery/gallery_fixture.h"

namespace atelier::gallery {
namespace {

class DeleteVersionTest : public GalleryFixture {
 protected:
  ops::Operation remove(const catalog::ArmId& id) {
    const auto accepted =
        database_->write([&](db::Transaction& t) { return delete_version::begin(t, id.text(), "admin"); });
    EXPECT_TRUE(accepted && *accepted);
    return finished((*accepted)->operation_id);
  }
  bool has(const std::string& region, const std::string& root) {
    return image::find_image(store(region), image::Digest::parse(root).value()).value().has_value();
  }
};

TEST_F(DeleteVersionTest, TakesTheImageOutOfEveryRegion) {
  make_definition("ubuntu");
  make_raw("a.disk");
  ASSERT_TRUE(runner_->start());
  const auto id = version_id("ubuntu", "1.0.0");
  finished(begin_import(id, make_disk("a.disk").id, {"japaneast", "japanwest"}).value().operation_id);
  drain();
  const std::string root = model(id).root;
  ASSERT_TRUE(has("japaneast", root) && has("japanwest", root));
  EXPECT_EQ(remove(id).state, ops::State::kSucceeded);
  EXPECT_FALSE(find(id.text()));
  EXPECT_FALSE(has("japaneast", root));
  EXPECT_FALSE(has("japanwest", root));
}

TEST_F(DeleteVersionTest, AnImageThatAnotherVersionSharesStays) {
  make_definition("ubuntu");
  make_raw("a.disk");
  const auto disk = make_disk("a.disk");
  ASSERT_TRUE(runner_->start());
  finished(begin_import(version_id("ubuntu", "1.0.0"), disk.id).value().operation_id);
  finished(begin_import(version_id("ubuntu", "1.0.1"), disk.id).value().operation_id);
  const std::string root = model(version_id("ubuntu", "1.0.0")).root;
  EXPECT_EQ(remove(version_id("ubuntu", "1.0.0")).state, ops::State::kSucceeded);
  EXPECT_TRUE(has("japaneast", root));
  EXPECT_EQ(remove(version_id("ubuntu", "1.0.1")).state, ops::State::kSucceeded);
  EXPECT_FALSE(has("japaneast", root));
}

TEST_F(DeleteVersionTest, AnImageThatAMachineLeansOnStays) {
  ASSERT_TRUE(runner_->start());
  const std::string root = import_base();
  db::Resource machine =
      row(catalog::ArmId::of_resource(kSubscription, "rg", catalog::kLabType, "lab").child("virtualMachines", "0"));
  machine.internal = {{"root", root}, {"region", "japaneast"}};
  insert(machine);
  EXPECT_EQ(remove(version_id("base", "1.0.0")).state, ops::State::kSucceeded);
  EXPECT_FALSE(find(version_id("base", "1.0.0").text()));
  EXPECT_TRUE(has("japaneast", root));
}

TEST_F(DeleteVersionTest, AVersionInTheMakingIsCanceledFirst) {
  make_definition("ubuntu");
  make_raw("a.disk");
  const auto id = version_id("ubuntu", "1.0.0");
  const auto making = begin_import(id, make_disk("a.disk").id).value();
  const auto deleting =
      database_->write([&](db::Transaction& t) { return delete_version::begin(t, id.text(), "admin"); })
          .value()
          .value();
  EXPECT_EQ(deleting.resource.provisioning_state, "Deleting");
  ASSERT_TRUE(runner_->start());
  EXPECT_EQ(finished(deleting.operation_id).state, ops::State::kSucceeded);
  EXPECT_EQ(finished(making.operation_id).state, ops::State::kCanceled);
  EXPECT_FALSE(find(id.text()));
  EXPECT_TRUE(image::list_images(store("japaneast"))->empty());
}

TEST_F(DeleteVersionTest, ADefinitionWithVersionsStays) {
  make_definition("ubuntu");
  make_raw("a.disk");
  ASSERT_TRUE(begin_import(version_id("ubuntu", "1.0.0"), make_disk("a.disk").id));
  const auto refused = database_->write(
      [&](db::Transaction& t) { return erase_empty(t, gallery_id().child("images", "ubuntu").text()); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), "CannotDeleteResource");
  EXPECT_FALSE(database_->write([&](db::Transaction& t) { return erase_empty(t, gallery_id().text()); }));
  const auto absent = database_->write([&](db::Transaction& t) { return erase_empty(t, gallery_id().text() + "x"); });
  EXPECT_EQ(absent.value(), Erased::kWasAbsent);
}

}  // namespace
}  // namespace atelier::gallery
