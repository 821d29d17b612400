#include "catalog/regions.h"

#include <gtest/gtest.h>

namespace atelier::catalog {
namespace {

Regions three() {
  return Regions({{.name = "japaneast", .display_name = "Japan East", .geography = "japan"},
                  {.name = "japanwest", .display_name = "Japan West", .geography = "japan"},
                  {.name = "westus2", .display_name = "West US 2", .geography = "us"}});
}

TEST(RegionsTest, FindsByNameAndDisplayNameInAnyCase) {
  const Regions regions = three();
  ASSERT_NE(regions.find("JAPAN EAST"), nullptr);
  EXPECT_EQ(regions.find("JAPAN EAST")->name, "japaneast");
  EXPECT_EQ(regions.find("West US 2")->name, "westus2");
  EXPECT_EQ(regions.find("northpole"), nullptr);
  EXPECT_EQ(regions.find(""), nullptr);
}

TEST(RegionsTest, NamesTheRegionsThereAre) {
  const Regions regions = three();
  const auto region = regions.require("northpole", "location");
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().target(), "location");
  EXPECT_NE(region.error().message().find("japaneast, japanwest, westus2"), std::string::npos);
}

TEST(RegionsTest, KnowsTheOthersOfAGeography) {
  const Regions regions = three();
  ASSERT_EQ(regions.others_in_geography("japaneast").size(), 1U);
  EXPECT_EQ(regions.others_in_geography("japaneast")[0]->name, "japanwest");
  EXPECT_TRUE(regions.others_in_geography("westus2").empty());
  EXPECT_TRUE(regions.others_in_geography("northpole").empty());
}

}  // namespace
}  // namespace atelier::catalog
