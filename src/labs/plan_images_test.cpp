#include "labs/plan_images.h"

#include <gtest/gtest.h>

#include "labs/labs_fixture.h"

namespace atelier::labs {
namespace {

class PlanImages : public LabsFixture {
 protected:
  void SetUp() override { plan_ = add_plan("plan"); }

  Result<ChosenImage> choose(const ImageReference& reference, std::string_view region = "japaneast") {
    return database_->read([&](db::Transaction& transaction) {
      return choose_image(transaction, plan_, reference, region, ImagesByDefault::kEnabled);
    });
  }
  Result<ChosenImage> choose_id(const std::string& id, std::string_view region = "japaneast") {
    ImageReference reference;
    reference.id = id;
    return choose(reference, region);
  }
  std::string reason_of(const std::string& id, std::string_view region = "japaneast") {
    const auto chosen = choose_id(id, region);
    return chosen.has_value() ? "chosen " + chosen->version.name : chosen.error().reason();
  }
  PlanImage describe(const std::string& definition_id, std::string_view region = "") {
    return database_
        ->read([&](db::Transaction& transaction) -> Result<PlanImage> {
          const auto definition = TRY(db::find_resource(transaction, definition_id));
          return describe_image(transaction, plan_, *definition, region, ImagesByDefault::kEnabled);
        })
        .value();
  }

  db::Resource plan_;
};

TEST_F(PlanImages, ADefinitionStandsForItsNewestVersionInTheRegionAndAVersionForItself) {
  const std::string id = add_definition("course", "Specialized");
  const std::string old_version = add_version(id, "1.9.0", {"japaneast", "japanwest"});
  add_version(id, "1.10.0", {"japaneast"});
  EXPECT_EQ(reason_of(id), "chosen 1.10.0");
  EXPECT_EQ(reason_of(id, "japanwest"), "chosen 1.9.0");
  EXPECT_EQ(reason_of(old_version), "chosen 1.9.0");
}

TEST_F(PlanImages, PublisherOfferAndSkuNameAnImageInAnyCase) {
  add_version(add_definition("course", "Specialized"), "1.0.0", {"japaneast"});
  ImageReference reference{.id = {}, .publisher = "Contoso", .offer = "School", .sku = "COURSE", .version = "latest"};
  EXPECT_EQ(choose(reference).value().version.name, "1.0.0");
  reference.version = "1.0.0";
  EXPECT_EQ(choose(reference).value().version.name, "1.0.0");
  reference.version = "2.0.0";
  EXPECT_EQ(choose(reference).error().reason(), "GalleryImageNotFound");
  reference.sku = "other";
  EXPECT_EQ(choose(reference).error().reason(), "GalleryImageNotFound");
}

TEST_F(PlanImages, EveryReasonForARefusalHasItsOwnWord) {
  const std::string far = add_definition("far", "Specialized");
  add_version(far, "1.0.0", {"westus2"});
  EXPECT_EQ(reason_of(far), "ImageNotInRegion");
  EXPECT_NE(choose_id(far).error().message().find("westus2"), std::string::npos);
  EXPECT_EQ(reason_of(far + "/versions/1.0.0"), "ImageNotInRegion");
  EXPECT_EQ(reason_of(add_definition("empty", "Specialized")), "NoUsableVersion");
  EXPECT_EQ(reason_of(gallery_ + "/images/unknown"), "GalleryImageNotFound");
  EXPECT_EQ(reason_of(far + "/versions/3.0.0"), "GalleryImageNotFound");
  const std::string foreign = add_definition("foreign", "Specialized", add_gallery("othergallery"));
  EXPECT_EQ(reason_of(foreign), "ImageNotInAttachedGallery");
  EXPECT_EQ(choose_id(gallery_).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(choose_id("image").error().code(), Code::kInvalidArgument);
  plan_.properties.erase("sharedGalleryId");
  EXPECT_EQ(reason_of(far), "GalleryNotAttached");
}

TEST_F(PlanImages, ADisabledImageIsRefusedUntilItIsEnabledAgain) {
  const std::string id = add_definition("course", "Specialized");
  const std::string version = add_version(id, "1.0.0", {"japaneast"});
  keep_enabled_state(plan_, id, EnabledState::kDisabled);
  EXPECT_EQ(reason_of(id), "ImageDisabled");
  EXPECT_EQ(reason_of(version), "ImageDisabled") << "naming the version gets around the switch";
  EXPECT_EQ(describe(id).hidden, HiddenReason::kDisabled);
  keep_enabled_state(plan_, to_lower(id), EnabledState::kEnabled);
  EXPECT_EQ(reason_of(id), "chosen 1.0.0");
}

TEST_F(PlanImages, SayWhereTheyAreAndWhyTheyAreHidden) {
  const std::string id = add_definition("course", "Generalized");
  EXPECT_EQ(describe(id).hidden, HiddenReason::kNoUsableVersion);
  add_version(id, "1.0.0", {"westus2"});
  EXPECT_EQ(describe(id).hidden, HiddenReason::kNotInRegion);
  EXPECT_EQ(describe(id, "westus2").hidden, HiddenReason::kNone);
  add_version(id, "1.0.1", {"japanwest"});
  const PlanImage image = describe(id);
  EXPECT_EQ(image.hidden, HiddenReason::kNone);
  EXPECT_EQ(image.resource.id, plan_.id + "/images/course");
  EXPECT_EQ(image.resource.type, "Microsoft.LabServices/labPlans/images");
  EXPECT_EQ(string_at(image.resource.properties, "version"), "1.0.1");
  EXPECT_EQ(string_at(image.resource.properties, "osState"), "Generalized");
  EXPECT_EQ(string_at(image.resource.properties, "sharedGalleryId"), id);
  EXPECT_EQ(image.resource.properties.at("availableRegions"), (json::array{"japanwest", "westus2"}));
}

}  // namespace
}  // namespace atelier::labs
