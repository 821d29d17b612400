// Resource groups, galleries and image definitions.
#include <gtest/gtest.h>

#include "api/api_fixture.h"

namespace atelier::api {
namespace {

class GalleriesTest : public ApiFixture {};

TEST_F(GalleriesTest, AGroupComesChangesAndIsAskedFor) {
  EXPECT_EQ(groups("HEAD", "rg").status, 404);
  EXPECT_EQ(groups("GET", "rg").code(), "ResourceGroupNotFound");
  const Answer made = groups("PUT", "rg", {{"location", "Japan East"}, {"tags", {{"a", "b"}}}});
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.at("location"), "japaneast");
  EXPECT_EQ(made.at("properties.provisioningState"), "Succeeded");
  EXPECT_EQ(groups("HEAD", "RG").status, 204);
  EXPECT_EQ(groups("PUT", "RG", {{"location", "japaneast"}}).status, 200);
  EXPECT_EQ(groups("GET", "RG").at("name"), "rg");
  EXPECT_EQ(groups("PATCH", "rg", {{"tags", {{"c", "d"}}}}).at("tags.c"), "d");
  EXPECT_EQ(groups("PUT", "rg", {{"location", "westus2"}}).code(), "InvalidResourceGroupLocation");
  EXPECT_EQ(groups("PUT", "x", {{"location", "nowhere"}}).code(), "LocationNotAvailableForResourceType");
  EXPECT_EQ(groups("PUT", "x.", {{"location", "japaneast"}}).status, 400);
  EXPECT_EQ(groups("GET", "").body.at("value").as_array().size(), 1U);
}

TEST_F(GalleriesTest, DeletingAGroupTakesEverythingInIt) {
  make_group_and_gallery();
  put(compute("galleries/gal/images/a"), definition_body("a"));
  const std::string disk = upload("d", bytes_of(make_raw("source")));
  const Answer version = put(compute("galleries/gal/images/a/versions/1.0.0"), version_body(disk));
  ASSERT_EQ(version.status, 201) << version.response.body;
  ASSERT_EQ(finished(version.operation_id()).state, ops::State::kSucceeded);
  ASSERT_EQ(image::list_images(store("japaneast"))->size(), 1U);
  const Answer accepted = groups("DELETE", "rg");
  ASSERT_EQ(accepted.status, 202) << accepted.response.body;
  ASSERT_EQ(finished(accepted.operation_id()).state, ops::State::kSucceeded);
  EXPECT_EQ(groups("HEAD", "rg").status, 404);
  EXPECT_EQ(get(compute("galleries/gal")).status, 404);
  EXPECT_TRUE(image::list_images(store("japaneast"))->empty());
  std::filesystem::remove(folder_ / "uploads" / "source");
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "uploads"));
  EXPECT_TRUE(database_->read([](db::Transaction& t) { return db::list_resources(t, {}); })->empty());
}

TEST_F(GalleriesTest, AGalleryKeepsWhatItWasGivenAndIgnoresEchoes) {
  groups("PUT", "rg", {{"location", "japaneast"}});
  const Answer made = put(compute("galleries/Gal"), here({{"description", "d"}, {"provisioningState", "Weird"}}));
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.at("properties.provisioningState"), "Succeeded");
  EXPECT_EQ(made.at("properties.identifier.uniqueName"), std::string(kSubscription) + "-GAL");
  EXPECT_EQ(made.at("type"), "Microsoft.Compute/galleries");
  json::object echoed = get(compute("GALLERIES/gal")).body;
  EXPECT_EQ(string_at(echoed, "name"), "Gal");
  set_at(echoed, "properties.identifier", json::object{});
  const Answer again = put(compute("galleries/gal"), echoed);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.at("properties.description"), "d");
  EXPECT_EQ(again.at("id"), compute("galleries/Gal"));
  EXPECT_EQ(
      call("PATCH", compute("galleries/gal"), R"({"properties":{"description":"e"}})").at("properties.description"),
      "e");
}

TEST_F(GalleriesTest, EachBadGalleryIsRefusedWithItsCodeAndTarget) {
  EXPECT_EQ(put(compute("galleries/gal"), here()).code(), "ResourceGroupNotFound");
  groups("PUT", "rg", {{"location", "japaneast"}});
  const Answer dash = put(compute("galleries/a-b"), here());
  EXPECT_EQ(dash.status, 400);
  EXPECT_EQ(dash.code(), "InvalidParameter");
  EXPECT_EQ(dash.at("error.target"), "galleryName");
  EXPECT_EQ(call("PUT", compute("galleries/gal"), "{").code(), "InvalidRequestContent");
  EXPECT_EQ(call("PUT", compute("galleries/gal"), "[]").status, 400);
  EXPECT_EQ(call("PUT", compute("galleries/gal"), R"({"location":7})").at("error.target"), "location");
  EXPECT_EQ(call("PUT", compute("galleries/gal"), R"({"location":"japaneast","properties":7})").status, 400);
  EXPECT_EQ(call("PUT", compute("galleries/gal"), R"({"location":"japaneast","tags":{"a":1}})").at("error.target"),
            "tags");
  EXPECT_EQ(get(compute("galleries/gal")).code(), "ResourceNotFound");
  EXPECT_EQ(put(compute("galleries/gal"), here()).status, 201);
  json::object moved = here();
  moved["location"] = "westus2";
  EXPECT_EQ(put(compute("galleries/gal"), moved).code(), "InvalidResourceLocation");
}

TEST_F(GalleriesTest, AParentIsDeletedAfterItsChildren) {
  make_group_and_gallery();
  EXPECT_EQ(put(compute("galleries/gal/images/a"), definition_body("a")).status, 201);
  const Answer refused = call("DELETE", compute("galleries/gal"));
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "CannotDeleteResource");
  EXPECT_EQ(call("DELETE", compute("galleries/gal/images/a")).status, 200);
  EXPECT_EQ(call("DELETE", compute("galleries/gal")).status, 200);
  EXPECT_EQ(call("DELETE", compute("galleries/gal")).status, 204);
}

TEST_F(GalleriesTest, ADefinitionsFixedPropertiesStay) {
  make_group_and_gallery();
  const std::string path = compute("galleries/gal/images/ubuntu-22.04");
  ASSERT_EQ(put(path, definition_body("a")).status, 201);
  json::object changed = definition_body("a");
  set_at(changed, "properties.osState", "Specialized");
  const Answer refused = put(path, changed);
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "PropertyChangeNotAllowed");
  EXPECT_EQ(refused.at("error.target"), "galleryImage.properties.osState");
  changed = definition_body("a");
  set_at(changed, "properties.osType", "linux");
  set_at(changed, "properties.description", "new");
  const Answer taken = put(path, changed);
  EXPECT_EQ(taken.status, 200);
  EXPECT_EQ(taken.at("properties.osType"), "Linux");
  EXPECT_EQ(taken.at("properties.description"), "new");
}

TEST_F(GalleriesTest, EachBadDefinitionIsRefused) {
  EXPECT_EQ(groups("PUT", "rg", {{"location", "japaneast"}}).status, 201);
  EXPECT_EQ(put(compute("galleries/gal/images/a"), definition_body("a")).code(), "ParentResourceNotFound");
  put(compute("galleries/gal"), here());
  ASSERT_EQ(put(compute("galleries/gal/images/a"), definition_body("a")).status, 201);
  EXPECT_EQ(put(compute("galleries/gal/images/b"), definition_body("A")).status, 409);
  EXPECT_EQ(put(compute("galleries/gal/images/-b"), definition_body("b")).status, 400);
  const auto refused = [&](const char* field, json::value value) {
    json::object body = definition_body("b");
    set_at(body, std::string("properties.") + field, std::move(value));
    const Answer answer = put(compute("galleries/gal/images/b"), body);
    EXPECT_EQ(answer.status, 400) << field << answer.response.body;
    return answer.at("error.target");
  };
  EXPECT_EQ(refused("osType", "BeOS"), "properties.osType");
  EXPECT_EQ(refused("osState", nullptr), "properties.osState");
  EXPECT_EQ(refused("identifier.publisher", ""), "properties.identifier.publisher");
  EXPECT_EQ(refused("identifier.sku", json::value(std::string(65, 'a'))), "properties.identifier.sku");
  EXPECT_EQ(refused("endOfLifeDate", "2020-01-01T00:00:00Z"), "properties.endOfLifeDate");
  EXPECT_EQ(refused("recommended", json::object{{"vCPUs", {{"min", 4}, {"max", 2}}}}), "properties.recommended.vCPUs");
  EXPECT_EQ(refused("hyperVGeneration", "V3"), "properties.hyperVGeneration");
}

TEST_F(GalleriesTest, TheNewestApiVersionMakesGeneration2) {
  make_group_and_gallery();
  json::object body = definition_body("a");
  body.at("properties").as_object().erase("hyperVGeneration");
  EXPECT_EQ(put(compute("galleries/gal/images/a"), body, "2025-03-03").at("properties.hyperVGeneration"), "V2");
  set_at(body, "properties.identifier.sku", "b");
  EXPECT_EQ(put(compute("galleries/gal/images/b"), body, "2022-03-03").at("properties.hyperVGeneration"), "V1");
}

TEST_F(GalleriesTest, ListsComeInPagesThatLinkToTheNext) {
  groups("PUT", "rg", {{"location", "japaneast"}});
  for (const char* name : {"a", "b", "c", "d", "e"}) put(compute("galleries/" + std::string(name)), here());
  context_->page_size = 2;
  std::string path = "/subscriptions/" + std::string(kSubscription) + "/providers/Microsoft.Compute/galleries";
  std::string names;
  Answer page = get(path);
  for (int pages = 0; pages < 5; ++pages) {
    for (const json::value& item : page.body.at("value").as_array()) names += item.at("name").as_string();
    const std::string next = page.at("nextLink");
    if (next.empty()) break;
    ASSERT_TRUE(next.starts_with(kBase)) << next;
    http::Request request;
    request.method = "GET";
    request.target = next.substr(std::string(kBase).size());
    request.headers = {{"Authorization", "Bearer " + token_}};
    page = send(std::move(request));
    ASSERT_EQ(page.status, 200) << page.response.body;
  }
  EXPECT_EQ(names, "abcde");
  EXPECT_EQ(get(path + "?$skipToken=zz").status, 400);
  EXPECT_EQ(get(path + "?$top=1").body.at("value").as_array().size(), 1U);
}

TEST_F(GalleriesTest, GenericResourcesAreListedByGroup) {
  make_group_and_gallery();
  const std::string all = "/subscriptions/" + std::string(kSubscription) + "/resources";
  EXPECT_EQ(get(all + "?$filter=resourceGroup%20eq%20'rg'", "2021-04-01").body.at("value").as_array().size(), 1U);
  EXPECT_TRUE(get(all + "?$filter=resourceGroup%20eq%20'other'", "2021-04-01").body.at("value").as_array().empty());
  EXPECT_EQ(get(all + "?$filter=nonsense", "2021-04-01").status, 400);
}

}  // namespace
}  // namespace atelier::api
