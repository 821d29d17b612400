#include "catalog/names.h"

#include <gtest/gtest.h>

namespace atelier::catalog {
namespace {

TEST(NamesTest, GalleryNamesHaveNoDash) {
  EXPECT_TRUE(check_gallery_name("contoso_gallery.1", "galleryName"));
  for (const std::string_view name : {"", "a-b", "_a", "a_", ".a", "a.", "a b", "ä"}) {
    const auto status = check_gallery_name(name, "galleryName");
    ASSERT_FALSE(status) << name;
    EXPECT_EQ(status.error().target(), "galleryName");
    EXPECT_EQ(status.error().reason(), "InvalidParameter");
  }
  EXPECT_TRUE(check_gallery_name(std::string(80, 'a'), "galleryName"));
  EXPECT_FALSE(check_gallery_name(std::string(81, 'a'), "galleryName"));
}

TEST(NamesTest, DefinitionNamesHaveDashesInsideOnly) {
  EXPECT_TRUE(check_definition_name("Ubuntu-22.04_lab", "name"));
  EXPECT_TRUE(check_definition_name("a", "name"));
  for (const std::string_view name : {"-a", "a-", "a/b", "../x", "a b", "画像"})
    EXPECT_FALSE(check_definition_name(name, "name")) << name;
}

TEST(NamesTest, IdentifierPartsDoNotEndInADot) {
  EXPECT_TRUE(check_identifier_part("AzureLabServices", 128, "publisher"));
  EXPECT_FALSE(check_identifier_part("x.", 128, "publisher"));
  EXPECT_FALSE(check_identifier_part(std::string(65, 'x'), 64, "offer"));
}

TEST(NamesTest, GroupNamesMayHaveParentheses) {
  EXPECT_TRUE(check_resource_group_name("contoso-rg(1)", "rg"));
  EXPECT_FALSE(check_resource_group_name("rg.", "rg"));
  EXPECT_FALSE(check_resource_name("(rg)", "name"));
}

TEST(VersionNumberTest, OrdersAsNumbers) {
  EXPECT_LT(VersionNumber::parse("1.9.0").value(), VersionNumber::parse("1.10.0").value());
  EXPECT_LT(VersionNumber::parse("1.10.9").value(), VersionNumber::parse("2.0.0").value());
  EXPECT_EQ(VersionNumber::parse("2147483647.0.1").value().text(), "2147483647.0.1");
}

TEST(VersionNumberTest, RefusesEverythingElse) {
  for (const std::string_view text : {"", "1", "1.0", "1.0.0.0", "1.0.x", "1..0", "-1.0.0", "01.0.0", "1.0.2147483648",
                                      "1.0.0-beta", " 1.0.0", "latest", "1.0."}) {
    EXPECT_FALSE(VersionNumber::parse(text)) << text;
  }
}

}  // namespace
}  // namespace atelier::catalog
