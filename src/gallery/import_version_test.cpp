#include "gallery/import_version.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gallery/gallery_fixture.h"

namespace atelier::gallery {
namespace {

class ImportVersionTest : public GalleryFixture {};

TEST_F(ImportVersionTest, ARawDiskBecomesAVersionInItsRegionsAndNowhereElse) {
  make_definition("ubuntu");
  const auto file = make_raw("a.disk");
  ASSERT_TRUE(runner_->start());
  const auto id = version_id("ubuntu", "1.0.0");
  const auto accepted = begin_import(id, make_disk("a.disk").id, {"japaneast", "westus2"});
  ASSERT_TRUE(accepted) << accepted.error().message();
  EXPECT_EQ(accepted->resource.provisioning_state, "Creating");
  const ops::Operation operation = finished(accepted->operation_id);
  ASSERT_EQ(operation.state, ops::State::kSucceeded) << operation.error->message();
  EXPECT_EQ(string_at(operation.result, "resourceId"), id.text());
  EXPECT_EQ(find(id.text())->provisioning_state, "Succeeded");
  EXPECT_TRUE(catalog::is_usable_in(*find(id.text()), "japaneast"));
  drain();
  const auto version = model(id);
  EXPECT_EQ(version.disk_bytes, 8 * kMiB);
  EXPECT_TRUE(catalog::is_usable_in(*find(id.text()), "westus2"));
  EXPECT_EQ(bytes_of("japaneast", version.root), bytes_of(file));
  EXPECT_EQ(bytes_of("westus2", version.root), bytes_of(file));
  EXPECT_TRUE(image::list_images(store("japanwest"))->empty());
  EXPECT_GT(version.replicas.at("westus2").bytes_sent, 0U);
}

TEST_F(ImportVersionTest, ADiskOfAnyFormatGivesTheSameImageAsTheRawOne) {
  make_definition("ubuntu");
  const auto raw = make_raw("raw.disk");
  ASSERT_TRUE(runner_->start());
  const auto from_raw = begin_import(version_id("ubuntu", "1.0.0"), make_disk("raw.disk").id).value();
  ASSERT_EQ(finished(from_raw.operation_id).state, ops::State::kSucceeded);
  const std::vector<std::vector<std::string>> formats = {{"qcow2", "compat=1.1"},
                                                         {"vpc", "subformat=dynamic,force_size=on"},
                                                         {"vpc", "subformat=fixed,force_size=on"},
                                                         {"vhdx", "subformat=dynamic"},
                                                         {"vmdk", "subformat=monolithicSparse"},
                                                         {"vmdk", "subformat=streamOptimized"},
                                                         {"vdi", "static=off"}};
  for (std::size_t i = 0; i < formats.size(); ++i) {
    const std::string name = fmt::format("{}.disk", i);
    run_tool({"qemu-img", "convert", "-f", "raw", "-O", formats[i][0], "-o", formats[i][1], raw.string(),
              (folder_ / "uploads" / name).string()});
    const auto id = version_id("ubuntu", fmt::format("1.1.{}", i));
    const ops::Operation operation = finished(begin_import(id, make_disk(name).id).value().operation_id);
    ASSERT_EQ(operation.state, ops::State::kSucceeded) << formats[i][1] << ": " << operation.error->message();
    EXPECT_EQ(model(id).root, model(version_id("ubuntu", "1.0.0")).root) << formats[i][1];
  }
}

TEST_F(ImportVersionTest, ADiskThatNeedsAnotherFileFailsTheVersionAndSaysWhy) {
  make_definition("ubuntu");
  run_tool({"qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat",
            (folder_ / "uploads/flat.disk").string(), "8M"});
  ASSERT_TRUE(runner_->start());
  const auto id = version_id("ubuntu", "1.0.0");
  const auto operation = finished(begin_import(id, make_disk("flat.disk").id).value().operation_id);
  ASSERT_EQ(operation.state, ops::State::kFailed);
  EXPECT_NE(operation.error->message().find("data is in other files"), std::string::npos) << operation.error->message();
  EXPECT_EQ(operation.error->message().find(folder_.string()), std::string::npos);
}

TEST_F(ImportVersionTest, AFileThatIsNoDiskFailsTheVersionWhichCanThenBeMadeAnew) {
  make_definition("ubuntu");
  std::ofstream(folder_ / "uploads" / "text.disk") << std::string(100000, 'a');
  ASSERT_TRUE(runner_->start());
  const auto id = version_id("ubuntu", "1.0.0");
  const auto operation = finished(begin_import(id, make_disk("text.disk").id).value().operation_id);
  ASSERT_EQ(operation.state, ops::State::kFailed);
  EXPECT_EQ(operation.error->code(), Code::kInvalidArgument) << operation.error->message();
  EXPECT_EQ(operation.error->message().find(folder_.string()), std::string::npos);
  EXPECT_EQ(find(id.text())->provisioning_state, "Failed");
  EXPECT_EQ(model(id).replicas.at("japaneast").state, catalog::ReplicaState::kFailed);
  EXPECT_TRUE(image::list_images(store("japaneast"))->empty());

  make_raw("good.disk");
  const auto again = begin_import(id, make_disk("good.disk").id);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(finished(again->operation_id).state, ops::State::kSucceeded);
  EXPECT_EQ(find(id.text())->provisioning_state, "Succeeded");
}

TEST_F(ImportVersionTest, AVersionThatIsThereIsNotMadeTwice) {
  make_definition("ubuntu");
  make_raw("a.disk");
  const auto disk = make_disk("a.disk");
  ASSERT_TRUE(begin_import(version_id("ubuntu", "1.0.0"), disk.id));
  EXPECT_EQ(begin_import(version_id("ubuntu", "1.0.0"), disk.id).error().code(), Code::kConflict);
}

TEST_F(ImportVersionTest, AnUploadThatIsNotOverIsRefusedAtOnce) {
  make_definition("ubuntu");
  db::Resource disk = make_disk("a.disk");
  disk.properties["diskState"] = "ActiveUpload";
  ASSERT_TRUE(database_->write([&](db::Transaction& t) { return db::update_resource(t, disk); }));
  const auto refused = begin_import(version_id("ubuntu", "1.0.0"), disk.id);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), "OperationNotAllowed");
  EXPECT_FALSE(find(version_id("ubuntu", "1.0.0").text()));
  EXPECT_EQ(begin_import(version_id("ubuntu", "1.0.0"), disk.id + "x").error().code(), Code::kNotFound);
}

TEST_F(ImportVersionTest, StartedAgainAfterItsEndItTellsTheSameResult) {
  make_definition("ubuntu");
  make_raw("a.disk");
  ASSERT_TRUE(runner_->start());
  const auto accepted = begin_import(version_id("ubuntu", "1.0.0"), make_disk("a.disk").id, {"japaneast", "japanwest"});
  const ops::Operation operation = finished(accepted->operation_id);
  drain();
  TaskContext task;
  const auto again = import_version::run(operation, *parts_, task);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(string_at(*again, "root"), string_at(operation.result, "root"));
  EXPECT_EQ(database_->read([&](db::Transaction& t) { return ops::list(t, {}); })->size(), 2U);  // no new replication
}

TEST_F(ImportVersionTest, AFailedReplicationSaysWhyAndLeavesTheVersionUsableAtHome) {
  make_definition("ubuntu");
  make_raw("a.disk");
  const auto accepted = begin_import(version_id("ubuntu", "1.0.0"), make_disk("a.disk").id, {"japaneast", "japanwest"});
  TaskContext task;
  const ops::Operation operation =
      database_->read([&](db::Transaction& t) { return ops::find(t, accepted->operation_id); }).value().value();
  ASSERT_TRUE(import_version::run(operation, *parts_, task));
  const auto id = version_id("ubuntu", "1.0.0");
  // The home region loses the image before the replication begins.
  ASSERT_TRUE(image::remove_image(store("japaneast"), image::Digest::parse(model(id).root).value()));
  ASSERT_TRUE(runner_->start());
  finished(model(id).replicas.at("japanwest").operation_id);
  EXPECT_EQ(model(id).replicas.at("japanwest").state, catalog::ReplicaState::kFailed);
  EXPECT_FALSE(model(id).replicas.at("japanwest").details.empty());
  EXPECT_FALSE(catalog::is_usable_in(*find(id.text()), "japanwest"));
  EXPECT_EQ(find(id.text())->provisioning_state, "Succeeded");
}

}  // namespace
}  // namespace atelier::gallery
