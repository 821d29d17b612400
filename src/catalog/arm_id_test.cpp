#include "catalog/arm_id.h"

#include <gtest/gtest.h>

namespace atelier::catalog {
namespace {

constexpr std::string_view kVersion =
    "/subscriptions/S1/resourceGroups/Rg/providers/Microsoft.Compute/galleries/Gal/images/Img/versions/1.0.0";

TEST(ArmIdTest, GivesTheWordsAzuresCasingAndKeepsTheNames) {
  const auto id = ArmId::parse(
      "/SUBSCRIPTIONS/S1/resourcegroups/Rg/PROVIDERS/microsoft.compute/GALLERIES/Gal/IMAGES/Img/VERSIONS/1.0.0");
  ASSERT_TRUE(id) << id.error().message();
  EXPECT_EQ(id->text(), kVersion);
  EXPECT_EQ(id->type(), kVersionType);
  EXPECT_EQ(id->name(), "1.0.0");
  EXPECT_EQ(id->parent_text(), kVersion.substr(0, kVersion.size() - 15));
  EXPECT_EQ(id->group_text(), "/subscriptions/S1/resourceGroups/Rg");
}

TEST(ArmIdTest, KnowsSubscriptionsAndGroups) {
  const auto subscription = ArmId::parse("/subscriptions/S1");
  ASSERT_TRUE(subscription);
  EXPECT_EQ(subscription->text(), "/subscriptions/S1");
  EXPECT_EQ(subscription->name(), "S1");
  const auto group = ArmId::parse("subscriptions/S1/resourceGroups/rg/");
  ASSERT_TRUE(group);
  EXPECT_EQ(group->type(), kResourceGroupType);
  EXPECT_EQ(group->parent_text(), "/subscriptions/S1");
}

TEST(ArmIdTest, BuildsWhatItParses) {
  const ArmId gallery = ArmId::of_resource("S1", "Rg", kGalleryType, "Gal");
  EXPECT_EQ(gallery.child("images", "Img").child("versions", "1.0.0").text(), kVersion);
  EXPECT_EQ(gallery.parent_text(), "/subscriptions/S1/resourceGroups/Rg");
}

TEST(ArmIdTest, RefusesWhatIsNoId) {
  for (const std::string_view text :
       {"", "/", "x", "/subscriptions", "/subscriptions//resourceGroups/rg", "/subscriptions/s/resourceGroups",
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute",
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries",
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images",
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/..",
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/a\nb",
        "/subscriptions/s/resourceGroups/rg//"}) {
    const auto id = ArmId::parse(text);
    ASSERT_FALSE(id) << text;
    EXPECT_EQ(id.error().reason(), "LinkedInvalidPropertyId");
  }
  EXPECT_FALSE(ArmId::parse("/subscriptions/" + std::string(5000, 'x')));
}

TEST(ArmIdTest, RefusesAnotherTypeAndNamesTheField) {
  const auto id = ArmId::parse_as(kVersion, kGalleryType, "properties.sharedGalleryId");
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().target(), "properties.sharedGalleryId");
  EXPECT_TRUE(ArmId::parse_as(kVersion, "microsoft.compute/GALLERIES/images/versions"));
}

TEST(ArmIdTest, ComparesScopesByWholeSegments) {
  EXPECT_TRUE(is_within("/subscriptions/S/resourceGroups/rg", "/subscriptions/s"));
  EXPECT_TRUE(is_within("/subscriptions/S", "/subscriptions/s/"));
  EXPECT_FALSE(is_within("/subscriptions/S2", "/subscriptions/s"));
}

}  // namespace
}  // namespace atelier::catalog
