// Uploads, image versions and the operations that make them.
#include <gtest/gtest.h>

#include "api/api_fixture.h"
#include "api/uploads.h"

namespace atelier::api {
namespace {

class VersionsTest : public ApiFixture {
 protected:
  void SetUp() override {
    make_group_and_gallery();
    ASSERT_EQ(put(image_, definition_body("a")).status, 201);
  }
  const std::string image_ = compute("galleries/gal/images/a");
  const std::string version_ = image_ + "/versions/1.0.0";
};

TEST_F(VersionsTest, AnUploadBecomesAVersionInItsRegions) {
  const std::string bytes = bytes_of(make_raw("source"));
  const std::string disk = upload("d", bytes);
  EXPECT_EQ(get(disk, "2022-07-02").at("properties.diskState"), "Unattached");
  const Answer made = put(version_, version_body(disk, {"Japan East", "westus2"}));
  ASSERT_EQ(made.status, 201) << made.response.body;
  EXPECT_EQ(made.at("properties.provisioningState"), "Creating");
  EXPECT_EQ(made.header("Retry-After"), "1");
  EXPECT_TRUE(made.header("Azure-AsyncOperation").starts_with(kBase));
  EXPECT_NE(made.header("Azure-AsyncOperation").find("/locations/japaneast/capsOperations/"), std::string::npos);
  EXPECT_NE(made.header("Location").find("monitor=true"), std::string::npos);
  ASSERT_EQ(finished(made.operation_id()).state, ops::State::kSucceeded);
  drain();
  const Answer version = get(version_ + "?$expand=ReplicationStatus");
  EXPECT_EQ(version.at("properties.provisioningState"), "Succeeded");
  EXPECT_EQ(version.at("properties.replicationStatus.aggregatedState"), "Completed");
  EXPECT_EQ(atelier::find(version.body, "properties.replicationStatus.summary")->as_array().size(), 2U);
  EXPECT_EQ(atelier::find(get(version_).body, "properties.replicationStatus"), nullptr);
  EXPECT_EQ(atelier::find(version.body, "internal"), nullptr);
  EXPECT_EQ(bytes_of("westus2", model(version_id("a", "1.0.0")).root), bytes);
}

TEST_F(VersionsTest, OnlyAcknowledgedRangesCountAndACutUploadGoesOn) {
  const std::string bytes = bytes_of(make_raw("source", 4 << 20));
  const std::string url = begin_upload("d", bytes.size());
  EXPECT_EQ(put_pages(url, 1 << 20, bytes.substr(1 << 20, 1 << 20)).status, 201);
  EXPECT_EQ(put_pages(url, 2 << 20, bytes.substr(2 << 20, 1 << 20), 300'000).status, 503);
  EXPECT_EQ(page_list(url),
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><PageList><PageRange><Start>1048576</Start><End>2097151</End>"
            "</PageRange></PageList>");
  EXPECT_EQ(put_pages(url, 0, bytes.substr(0, 1 << 20)).status, 201);
  EXPECT_EQ(put_pages(url, 2 << 20, bytes.substr(2 << 20)).status, 201);
  EXPECT_NE(page_list(url).find("<Start>0</Start><End>4194303</End>"), std::string::npos);
  end_upload("d");
  EXPECT_EQ(put_pages(url, 0, "late").status, 409);
  EXPECT_EQ(bytes_of(upload_file(*context_, *find(compute("disks/d")))), bytes);
}

TEST_F(VersionsTest, AnUploadIsBoundedByWhatWasDeclared) {
  const std::string url = begin_upload("d", 1000);
  const auto file = upload_file(*context_, *find(compute("disks/d")));
  EXPECT_EQ(put_pages(url, 990, std::string(11, 'x')).code(), "InvalidPageRange");
  EXPECT_EQ(put_pages(url, ~0ULL - 5, "abc").status, 400);
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_EQ(put_pages(url, 990, std::string(10, 'x')).status, 201);
  EXPECT_EQ(std::filesystem::file_size(file), 1000U);
  std::string forged = url;
  forged.back() = forged.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(put_pages(forged, 0, "abc").status, 403);
  const Answer deleted = call("DELETE", compute("disks/d"), "", "2022-07-02");
  EXPECT_EQ(deleted.status, 200);
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_EQ(put_pages(url, 0, "abc").status, 404);
  EXPECT_EQ(call("DELETE", compute("disks/d"), "", "2022-07-02").status, 204);
}

TEST_F(VersionsTest, EachBadDiskIsRefused) {
  const auto refused = [&](json::object properties) {
    return put(compute("disks/d"), here(std::move(properties)), "2022-07-02").at("error.target");
  };
  EXPECT_EQ(refused({{"creationData", {{"createOption", "Copy"}}}}), "properties.creationData.createOption");
  EXPECT_EQ(refused({{"creationData", {{"createOption", "Upload"}, {"uploadSizeBytes", 0}}}}),
            "properties.creationData.uploadSizeBytes");
  EXPECT_EQ(refused({{"creationData", {{"createOption", "Upload"}, {"uploadSizeBytes", 1ULL << 50}}}}),
            "properties.creationData.uploadSizeBytes");
  begin_upload("d", 1000);
  EXPECT_EQ(post(compute("disks/d/beginGetAccess"), {{"access", "Read"}}, "2022-07-02").status, 400);
  EXPECT_EQ(post(compute("disks/e/beginGetAccess"), {{"access", "Write"}}, "2022-07-02").status, 404);
}

TEST_F(VersionsTest, AFileThatIsNoDiskIsRefusedAtOnceAndLeavesNoVersion) {
  const Answer answer = put(version_, version_body(upload("text", std::string(100'000, 'a'))));
  EXPECT_EQ(answer.status, 400) << answer.response.body;
  EXPECT_EQ(answer.at("error.target"), "properties.storageProfile.osDiskImage.source.id");
  EXPECT_EQ(get(version_).status, 404);
}

TEST_F(VersionsTest, EachBadVersionIsRefusedWithItsTarget) {
  const std::string disk = upload("d", bytes_of(make_raw("source")));
  EXPECT_EQ(put(image_ + "/versions/1.0", version_body(disk)).at("error.target"), "galleryImageVersionName");
  EXPECT_EQ(put(image_ + "x/versions/1.0.0", version_body(disk)).code(), "ParentResourceNotFound");
  EXPECT_EQ(put(version_, version_body(disk, {"westus2"})).at("error.target"),
            "properties.publishingProfile.targetRegions");
  EXPECT_EQ(put(version_, version_body(disk, {"japaneast", "Japan East"})).at("error.target"),
            "properties.publishingProfile.targetRegions[1].name");
  EXPECT_EQ(put(version_, version_body(disk, {"japaneast", "mars"})).at("error.target"),
            "properties.publishingProfile.targetRegions[1].name");
  EXPECT_EQ(put(version_, version_body(compute("galleries/gal"))).code(), "LinkedInvalidPropertyId");
  EXPECT_EQ(put(version_, version_body(compute("disks/none"))).status, 404);
  EXPECT_EQ(put(version_, here()).status, 400);
  json::object snapshot = here({{"storageProfile", {{"source", {{"id", disk}}}}}});
  EXPECT_EQ(put(version_, snapshot).code(), "NotSupported");
  json::object count = version_body(disk);
  set_at(count, "properties.publishingProfile.replicaCount", 0);
  EXPECT_EQ(put(version_, count).at("error.target"), "properties.publishingProfile.replicaCount");
  begin_upload("open", 1000);
  EXPECT_EQ(put(version_, version_body(compute("disks/open"))).code(), "OperationNotAllowed");
  EXPECT_EQ(get(version_).status, 404);
}

TEST_F(VersionsTest, RegionsComeAndGo) {
  const std::string disk = upload("d", bytes_of(make_raw("source")));
  finished(put(version_, version_body(disk)).operation_id());
  const Answer added = put(version_, version_body(disk, {"japaneast", "japanwest"}));
  ASSERT_EQ(added.status, 200) << added.response.body;
  ASSERT_EQ(finished(added.operation_id()).state, ops::State::kSucceeded);
  EXPECT_EQ(image::list_images(store("japanwest"))->size(), 1U);
  json::object echoed = get(version_ + "?$expand=ReplicationStatus").body;
  const Answer same = put(version_, echoed);
  EXPECT_EQ(same.status, 200) << same.response.body;
  EXPECT_EQ(same.header("Azure-AsyncOperation"), "");
  json::object kept = version_body(disk);
  set_at(kept, "properties.safetyProfile.allowDeletionOfReplicatedLocations", false);
  EXPECT_EQ(put(version_, kept).status, 409);
  const Answer dropped = put(version_, version_body(disk));
  ASSERT_EQ(finished(dropped.operation_id()).state, ops::State::kSucceeded);
  EXPECT_TRUE(image::list_images(store("japanwest"))->empty());
  EXPECT_EQ(image::list_images(store("japaneast"))->size(), 1U);
  EXPECT_EQ(put(version_, version_body(upload("other", bytes_of(make_raw("source"))))).code(),
            "PropertyChangeNotAllowed");
  const Answer deleted = call("DELETE", version_);
  ASSERT_EQ(deleted.status, 202);
  ASSERT_EQ(finished(deleted.operation_id()).state, ops::State::kSucceeded);
  EXPECT_EQ(call("DELETE", version_).status, 204);
}

TEST_F(VersionsTest, AnOperationIsFollowedToItsEndByBothWays) {
  const std::string disk = upload("d", bytes_of(make_raw("source")));
  runner_->stop();  // so that it is still queued when asked for
  const Answer made = put(version_, version_body(disk));
  const auto follow = [&](const std::string& url) { return url.substr(std::string(kBase).size()); };
  const auto ask = [&](const std::string& target) {
    http::Request request;
    request.method = "GET";
    request.target = target;
    request.headers = {{"Authorization", "Bearer " + token_}};
    return send(std::move(request));
  };
  const Answer status = ask(follow(made.header("Azure-AsyncOperation")));
  EXPECT_EQ(status.status, 200);
  EXPECT_EQ(status.at("status"), "NotStarted");
  EXPECT_EQ(status.at("properties.kind"), "CreateImageVersion");
  EXPECT_EQ(status.at("properties.resourceId"), version_);
  EXPECT_EQ(status.at("properties.createdBy"), "admin");
  EXPECT_EQ(status.header("Retry-After"), "1");
  EXPECT_EQ(ask(follow(made.header("Location"))).status, 202);
  const std::string all =
      "/subscriptions/" + std::string(kSubscription) + "/providers/Microsoft.LabServices/operationResults";
  EXPECT_EQ(ask(all + "/" + made.operation_id()).status, 200);
  EXPECT_EQ(ask(all + "?$filter=status%20eq%20'InProgress'").body.at("value").as_array().size(), 1U);
  EXPECT_TRUE(ask(all + "?$filter=status%20eq%20'Failed'").body.at("value").as_array().empty());
  EXPECT_EQ(ask(all + "/none").code(), "ResourceNotFound");

  const Answer canceled = post(all + "/" + made.operation_id() + "/cancel");
  EXPECT_EQ(canceled.status, 202) << canceled.response.body;
  EXPECT_TRUE(bool_at(canceled.body, "properties.cancelRequested"));
  ops::Runner next(*database_, ops::Runner::Options{.poll = std::chrono::milliseconds(10)});
  gallery::add_journeys(next, *parts_, hypervisor_);
  ASSERT_TRUE(next.start());
  finished(made.operation_id());
  const Answer over = ask(follow(made.header("Azure-AsyncOperation")));
  EXPECT_EQ(over.at("status"), "Canceled") << over.response.body;
  EXPECT_FALSE(over.at("error.code").empty());
  EXPECT_GE(ask(follow(made.header("Location"))).status, 400);
  EXPECT_EQ(post(all + "/" + made.operation_id() + "/cancel").status, 409);
}

TEST_F(VersionsTest, AFinishedOperationsLocationGivesTheResource) {
  const Answer made = put(version_, version_body(upload("d", bytes_of(make_raw("source")))));
  ASSERT_EQ(finished(made.operation_id()).state, ops::State::kSucceeded);
  http::Request request;
  request.method = "GET";
  request.target = made.header("Location").substr(std::string(kBase).size());
  request.headers = {{"Authorization", "Bearer " + token_}};
  const Answer end = send(std::move(request));
  EXPECT_EQ(end.status, 200);
  EXPECT_EQ(end.at("id"), version_);
}

TEST(RangesTest, AreMergedWithTheirNeighboursAndBounded) {
  std::vector<ByteRange> ranges;
  for (const ByteRange added :
       {ByteRange{10, 19}, ByteRange{0, 4}, ByteRange{30, 39}, ByteRange{5, 9}, ByteRange{15, 34}}) {
    ranges = with_range(ranges, added).value();
  }
  EXPECT_EQ(ranges, (std::vector<ByteRange>{{0, 39}}));
  EXPECT_EQ(with_range({{0, 1}}, {5, 6}, 1).error().code(), Code::kTooLarge);
  EXPECT_EQ(parse_byte_range("bytes=0-0")->size(), 1U);
  for (const char* bad : {"", "bytes=", "bytes=1", "bytes=2-1", "bytes=-1", "bytes=1-", "bytes=a-b", "0-1",
                          "bytes=1-99999999999999999999"}) {
    EXPECT_FALSE(parse_byte_range(bad)) << bad;
  }
}

}  // namespace
}  // namespace atelier::api
