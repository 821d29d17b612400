#include "base/json.h"

#include <gtest/gtest.h>

namespace atelier {
namespace {

TEST(Json, RefusesWhatIsMalformedTooDeepOrTooLarge) {
  EXPECT_EQ(parse_json("{\"a\":").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(parse_json("\"\xff\"").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(parse_json(std::string(100000, '[')).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(parse_json("[1,2,3]", {.bytes_max = 4}).error().code(), Code::kTooLarge);
  EXPECT_EQ(parse_json_object("[1]").error().code(), Code::kInvalidArgument);
}

TEST(Json, LooksUpDottedPathsAndNamesTheFieldAtFault) {
  const json::object root = parse_json_object(R"({"properties":{"name":"a","size":3,"on":true,"none":null}})").value();
  EXPECT_EQ(string_at(root, "properties.name"), "a");
  EXPECT_EQ(int_at(root, "properties.size"), 3);
  EXPECT_TRUE(bool_at(root, "properties.on"));
  EXPECT_EQ(find(root, "properties.none"), nullptr);
  EXPECT_EQ(find(root, "properties.name.deeper"), nullptr);
  EXPECT_EQ(require_string(root, "properties.missing").error().target(), "properties.missing");
  EXPECT_EQ(require_string(root, "properties.size").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(optional_int(root, "properties.name", 0).error().target(), "properties.name");
}

TEST(Json, MergePatchReplacesRemovesAndMerges) {
  json::object target = parse_json_object(R"({"a":{"b":1,"c":2},"d":3})").value();
  merge_patch(target, parse_json_object(R"({"a":{"b":null,"e":4},"d":{"f":5}})").value());
  EXPECT_EQ(json::value(target), parse_json(R"({"a":{"c":2,"e":4},"d":{"f":5}})").value());
}

TEST(Json, SetAtMakesTheObjectsOnTheWay) {
  json::object root;
  set_at(root, "a.b.c", 1);
  set_at(root, "a.d", 2);
  EXPECT_EQ(json::value(root), parse_json(R"({"a":{"b":{"c":1},"d":2}})").value());
}

}  // namespace
}  // namespace atelier
