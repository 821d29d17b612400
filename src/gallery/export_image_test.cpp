#include "gallery/export_image.h"

#include <gtest/gtest.h>

#include "gallery/gallery_fixture.h"

namespace atelier::gallery {
namespace {

class ExportImageTest : public GalleryFixture {
 protected:
  export_image::Input input(const std::string& name, const vm::OverlayDisk& overlay = {}) {
    return {.gallery = find(gallery_id().text()) ? *find(gallery_id().text()) : insert(row(gallery_id())),
            .image_name = name,
            .location = "japaneast",
            .principal = "ayumi",
            .vm_id = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.LabServices/labs/l/virtualMachines/0",
            .vm_uuid = "",
            .disk = overlay};
  }
  Result<Accepted> begin(const export_image::Input& given) {
    return database_->write([&](db::Transaction& t) { return export_image::begin(t, *parts_, given); });
  }
};

TEST_F(ExportImageTest, TheTemplatesDiskGetsToEveryRegionOfItsGeography) {
  ASSERT_TRUE(runner_->start());
  const vm::OverlayDisk overlay = make_overlay(import_base());
  run_tool({"qemu-io", "-f", "qcow2", "-c", "write -P 0x77 5M 64k", overlay.path.string()});
  const auto accepted = begin(input("prepared", overlay));
  ASSERT_TRUE(accepted) << accepted.error().message();
  const ops::Operation operation = finished(accepted->operation_id);
  ASSERT_EQ(operation.state, ops::State::kSucceeded) << operation.error->message();
  EXPECT_EQ(operation.progress.bytes_done, operation.progress.bytes_total);
  drain();
  std::string wanted = bytes_of(folder_ / "uploads" / "base.disk");
  wanted.replace(5 * kMiB, 65536, 65536, '\x77');
  const auto version = model(version_id("prepared", "1.0.0"));
  EXPECT_EQ(bytes_of("japaneast", version.root), wanted);
  EXPECT_EQ(bytes_of("japanwest", version.root), wanted);
  EXPECT_TRUE(image::list_images(store("westus2"))->empty());
  const auto definition = find(gallery_id().child("images", "prepared").text());
  ASSERT_TRUE(definition);
  EXPECT_EQ(catalog::os_state_of(*definition), "Specialized");
  EXPECT_EQ(string_at(definition->properties, "identifier.publisher"), "AzureLabServices");
  EXPECT_EQ(string_at(definition->properties, "identifier.sku"), "prepared");
}

TEST_F(ExportImageTest, TheSameNameAgainIsTheNextPatchOfTheSameImage) {
  auto first = input("prepared");
  auto second = first;
  second.vm_id += "1";
  ASSERT_TRUE(begin(first));
  const auto accepted = begin(second);
  ASSERT_TRUE(accepted) << accepted.error().message();
  EXPECT_EQ(accepted->resource.id, version_id("prepared", "1.0.1").text());
}

TEST_F(ExportImageTest, TwoExportsOfOneMachineExcludeEachOther) {
  ASSERT_TRUE(begin(input("one")));
  const auto second = begin(input("two"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kConflict);
  EXPECT_FALSE(find(gallery_id().child("images", "two").text()));
}

TEST_F(ExportImageTest, OfARunningMachineOneMomentIsExportedAndTheVersionSaysSo) {
  ASSERT_TRUE(runner_->start());
  const vm::OverlayDisk overlay = make_overlay(import_base());
  run_tool({"qemu-io", "-f", "qcow2", "-c", "write -P 0x77 5M 64k", overlay.path.string()});
  auto given = input("prepared", overlay);
  given.vm_uuid = new_uuid();
  ASSERT_TRUE(hypervisor_.define({.uuid = given.vm_uuid, .name = "", .folder = folder_, .disk = overlay}));
  const auto mode_of = [&](const std::string& version) {
    return string_at(find(version_id("prepared", version).text())->properties, "atelier.consistencyMode");
  };
  const auto exported = [&] { return finished(begin(given)->operation_id); };
  ASSERT_EQ(exported().state, ops::State::kSucceeded);
  EXPECT_EQ(mode_of("1.0.0"), "Stopped");
  ASSERT_TRUE(hypervisor_.start(given.vm_uuid));
  const ops::Operation operation = exported();
  ASSERT_EQ(operation.state, ops::State::kSucceeded) << operation.error->message();
  EXPECT_EQ(mode_of("1.0.1"), "FileSystemConsistent");
  EXPECT_EQ(string_at(operation.result, "consistencyMode"), "FileSystemConsistent");
  EXPECT_EQ(model(version_id("prepared", "1.0.1")).root, model(version_id("prepared", "1.0.0")).root);
  EXPECT_EQ(hypervisor_.status(given.vm_uuid)->power, vm::PowerState::kRunning);
}

TEST_F(ExportImageTest, NamesAreCheckedAndAGeneralizedImageIsNotOverwritten) {
  for (const char* name : {"", "a b", "-a", "a.", "a/b"}) {
    EXPECT_EQ(begin(input(name)).error().code(), Code::kInvalidArgument) << name;
  }
  make_definition("taken");
  EXPECT_EQ(begin(input("taken")).error().reason(), "ImageNameTaken");
}

TEST_F(ExportImageTest, ACanceledExportLeavesNothingBehind) {
  const auto accepted = begin(input("prepared")).value();
  ASSERT_TRUE(database_->write([&](db::Transaction& t) { return ops::request_cancel(t, accepted.operation_id); }));
  ASSERT_TRUE(runner_->start());
  EXPECT_EQ(finished(accepted.operation_id).state, ops::State::kCanceled);
  EXPECT_FALSE(find(accepted.resource.id));
  EXPECT_FALSE(find(gallery_id().child("images", "prepared").text()));
}

TEST_F(ExportImageTest, AFailedExportSaysWhyAndANewOneTakesTheNextNumber) {
  ASSERT_TRUE(runner_->start());
  vm::OverlayDisk overlay = make_overlay(import_base());
  ASSERT_TRUE(std::filesystem::remove(overlay.path));
  const auto accepted = begin(input("prepared", overlay)).value();
  const ops::Operation operation = finished(accepted.operation_id);
  ASSERT_EQ(operation.state, ops::State::kFailed);
  EXPECT_EQ(operation.error->message().find(folder_.string()), std::string::npos) << operation.error->message();
  EXPECT_EQ(find(accepted.resource.id)->provisioning_state, "Failed");
  EXPECT_EQ(begin(input("prepared", overlay))->resource.name, "1.0.1");
}

}  // namespace
}  // namespace atelier::gallery
