// The routes of Microsoft.LabServices, dispatched as requests: real SQLite, real operations, real overlay files, the
// fake hypervisor.
#include "api/lab_routes.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "auth/sas.h"
#include "auth/sign_in_limit.h"
#include "auth/tokens.h"
#include "http/message.h"
#include "http/router.h"
#include "labs/labs_fixture.h"

namespace atelier::api {
namespace {

constexpr std::string_view kPassword = "Kyoshitsu-2026";

class LabRoutes : public labs::LabsFixture {
 protected:
  void SetUp() override {
    tokens_ =
        auth::TokenService::create(*database_, {.base_url = "https://127.0.0.1:8443", .tenant_id = tenant_}).value();
    signer_ = std::make_unique<auth::UploadSigner>(auth::UploadSigner::open(*database_).value());
    const auto user =
        auth::create_user(*database_, {.name = "ayumi", .password = "S3cret-words", .tenant_id = tenant_});
    token_ = tokens_->issue(*user, "https://127.0.0.1:8443/", std::chrono::hours(1)).value();
    context_ = std::make_unique<Context>(Context{.parts = *common_,
                                                 .tokens = *tokens_,
                                                 .sign_in_limit = limit_,
                                                 .upload_signer = *signer_,
                                                 .labs = parts_.get(),
                                                 .base_url = "https://127.0.0.1:8443",
                                                 .tenant_id = tenant_,
                                                 .subscription_id = std::string(kSubscription),
                                                 .subscription_name = "Atelier"});
    ArmRoutes routes(router_, *context_);
    add_lab_routes(routes);
    ASSERT_TRUE(runner_->start());
  }

  struct Answer {
    int status = 0;
    json::object body;
    http::Response response;

    std::string code() const { return string_at(body, "error.code"); }
    std::string message() const { return string_at(body, "error.message"); }
    std::string at(std::string_view path) const { return string_at(body, path); }
    // The guid at the end of Azure-AsyncOperation's path.
    std::string operation_id() const {
      const std::string url(response.header("Azure-AsyncOperation"));
      const std::string path = url.substr(0, url.find('?'));
      return path.substr(path.rfind('/') + 1);
    }
  };

  Answer raw(const std::string& method, const std::string& path, std::string body) {
    http::Request request;
    request.method = method;
    request.target = path + (path.find('?') == std::string::npos ? "?" : "&") + "api-version=2022-08-01";
    request.headers = {{"Authorization", "Bearer " + token_}};
    request.body = std::move(body);
    EXPECT_TRUE(http::Router::parse_target(request)) << path;
    Answer answer;
    answer.response = router_.dispatch(request);
    answer.status = answer.response.status;
    if (!answer.response.body.empty()) answer.body = parse_json_object(answer.response.body).value();
    EXPECT_EQ(answer.response.body.find(folder_.string()), std::string::npos) << "a host path is answered";
    return answer;
  }
  Answer get(const std::string& path) { return raw("GET", path, ""); }
  Answer post(const std::string& path, const json::object& body = {}) { return raw("POST", path, to_text(body)); }
  Answer put(const std::string& path, const json::object& body) { return raw("PUT", path, to_text(body)); }
  Answer patch(const std::string& path, const json::object& body) { return raw("PATCH", path, to_text(body)); }

  // A lab account with the gallery attached, and an image "course" in it that is usable at home.
  void prepare() {
    ASSERT_EQ(put(plan_id("plan"), {{"location", "japaneast"}, {"properties", {{"sharedGalleryId", gallery_}}}}).status,
              201);
    image_ = add_definition("course", "Generalized");
    add_version(image_, "1.0.0", {"japaneast"});
  }
  json::object lab_body() const {
    return {{"location", "Japan East"},
            {"tags", {{"term", "spring"}}},
            {"properties",
             {{"title", "Networks"},
              {"labPlanId", plan_id("plan")},
              {"virtualMachineProfile",
               {{"createOption", "TemplateVM"},
                {"imageReference", {{"id", image_}}},
                {"sku", {{"name", "Atelier_Tiny_1_512MB"}, {"capacity", 1}}},
                {"usageQuota", "PT10H"},
                {"useSharedPassword", "Enabled"},
                {"adminUser", {{"username", "ayumi"}, {"password", kPassword}}}}}}}};
  }
  void make_lab(const std::string& name) {
    const Answer made = put(lab_id(name), lab_body());
    ASSERT_EQ(made.status, 201) << made.response.body;
    ASSERT_EQ(finished(made.operation_id()).state, ops::State::kSucceeded);
  }
  static std::string machine(const std::string& lab) { return lab_id(lab) + "/virtualMachines/0"; }
  void act(const std::string& lab, const std::string& verb) {
    const Answer accepted = post(machine(lab) + "/" + verb);
    ASSERT_EQ(accepted.status, 202) << accepted.response.body;
    ASSERT_EQ(finished(accepted.operation_id()).state, ops::State::kSucceeded);
  }
  Answer save(const std::string& name, const std::string& vm, const std::string& plan = "plan") {
    return post(plan_id(plan) + "/saveImage", {{"name", name}, {"labVirtualMachineId", vm}});
  }

  const std::string tenant_ = "7a1e5ee0-0000-4000-8000-0000000000aa";
  std::unique_ptr<auth::TokenService> tokens_;
  std::unique_ptr<auth::UploadSigner> signer_;
  auth::SignInLimit limit_;
  std::string token_;
  std::unique_ptr<Context> context_;
  http::Router router_;
  std::string image_;
};

TEST_F(LabRoutes, ALabAccountIsMadeChangedListedAndDeleted) {
  const std::string id = plan_id("plan");
  const Answer made = put(id, {{"location", "Japan East"}, {"tags", {{"a", "b"}}}, {"properties", json::object()}});
  EXPECT_EQ(made.status, 201) << made.response.body;
  EXPECT_EQ(made.at("id"), id);
  EXPECT_EQ(made.at("type"), "Microsoft.LabServices/labPlans");
  EXPECT_EQ(made.at("location"), "japaneast");
  EXPECT_EQ(made.at("properties.provisioningState"), "Succeeded");
  EXPECT_EQ(put(id, {{"location", "japaneast"}, {"properties", json::object()}}).status, 200);
  EXPECT_EQ(put(id, {{"location", "japanwest"}, {"properties", json::object()}}).code(), "InvalidResourceLocation");
  const Answer patched = patch(id, {{"tags", {{"c", "d"}}}, {"properties", {{"supportInfo", {{"phone", "123"}}}}}});
  EXPECT_EQ(patched.status, 200);
  EXPECT_EQ(patched.at("properties.supportInfo.phone"), "123");
  EXPECT_EQ(patched.at("tags.c"), "d");
  for (const std::string& scope : {subscription_scope(), group_id()}) {
    EXPECT_EQ(get(scope + "/providers/Microsoft.LabServices/labPlans").body.at("value").as_array().size(), 1U);
  }
  EXPECT_EQ(raw("DELETE", id, "").status, 200);
  EXPECT_EQ(raw("DELETE", id, "").status, 204);
  EXPECT_EQ(get(id).code(), "ResourceNotFound");
}

TEST_F(LabRoutes, AGalleryIsAttachedReplacedAndDetached) {
  const std::string id = plan_id("plan");
  put(id, {{"location", "japaneast"}, {"properties", json::object()}});
  const Answer unknown = patch(id, {{"properties", {{"sharedGalleryId", gallery_ + "x"}}}});
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.at("error.target"), "properties.sharedGalleryId");
  EXPECT_EQ(patch(id, {{"properties", {{"sharedGalleryId", group_id()}}}}).status, 400);
  EXPECT_EQ(patch(id, {{"properties", {{"sharedGalleryId", gallery_}}}}).at("properties.sharedGalleryId"), gallery_);
  const std::string other = add_gallery("othergallery");
  EXPECT_EQ(patch(id, {{"properties", {{"sharedGalleryId", other}}}}).at("properties.sharedGalleryId"), other);
  EXPECT_EQ(patch(id, {{"properties", {{"sharedGalleryId", nullptr}}}}).at("properties.sharedGalleryId"), "");
  patch(id, {{"properties", {{"sharedGalleryId", gallery_}}}});
  EXPECT_EQ(put(id, {{"location", "japaneast"}, {"properties", json::object()}}).at("properties.sharedGalleryId"), "");
}

TEST_F(LabRoutes, ImagesAreEnabledAndDisabledForTheLabAccountAlone) {
  prepare();
  const std::string image = plan_id("plan") + "/images/course";
  EXPECT_EQ(get(image).at("properties.enabledState"), "Enabled");
  EXPECT_EQ(patch(image, {{"properties", {{"enabledState", "disabled"}}}}).status, 200);
  EXPECT_EQ(get(image).at("properties.enabledState"), "Disabled");
  const Answer refused = put(lab_id("lab-1"), lab_body());
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "ImageDisabled");
  EXPECT_EQ(get(lab_id("lab-1")).status, 404) << "a refused lab was left behind";
  EXPECT_EQ(get(plan_id("plan") + "/images?$filter=properties/enabledState%20eq%20'Enabled'").body.at("value"),
            json::array());
  EXPECT_EQ(put(image, get(image).body).at("properties.enabledState"), "Disabled") << "a whole image sent back";
  EXPECT_EQ(patch(image, {{"properties", {{"enabledState", "Enabled"}}}}).at("properties.enabledState"), "Enabled");
  EXPECT_EQ(put(lab_id("lab-1"), lab_body()).status, 201);
  EXPECT_EQ(patch(image, {{"properties", {{"enabledState", "Perhaps"}}}}).status, 400);
  EXPECT_EQ(patch(image, json::object()).status, 400);
  EXPECT_EQ(patch(plan_id("plan") + "/images/unknown", {{"properties", {{"enabledState", "Enabled"}}}}).status, 404);
  EXPECT_EQ(get(plan_id("none") + "/images").code(), "ParentResourceNotFound");
}

TEST_F(LabRoutes, TheListOfImagesSaysOnRequestWhatItHidesAndWhy) {
  prepare();
  add_version(add_definition("far", "Specialized"), "1.0.0", {"westus2"});
  add_definition("empty", "Specialized");
  patch(plan_id("plan") + "/images/course", {{"properties", {{"enabledState", "Disabled"}}}});
  const json::array listed = get(plan_id("plan") + "/images").body.at("value").as_array();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(string_at(listed[0].as_object(), "name"), "course");
  EXPECT_EQ(string_at(listed[0].as_object(), "properties.hiddenReason"), "");
  std::map<std::string, std::string> reasons;
  const Answer hidden = get(plan_id("plan") + "/images?includeHidden=true");
  for (const json::value& image : hidden.body.at("value").as_array()) {
    reasons[string_at(image.as_object(), "name")] = string_at(image.as_object(), "properties.hiddenReason");
  }
  EXPECT_EQ(reasons, (std::map<std::string, std::string>{
                         {"course", "Disabled"}, {"far", "NotInRegion"}, {"empty", "NoUsableVersion"}}));
  EXPECT_EQ(get(plan_id("plan") + "/images?region=West%20US%202").body.at("value").as_array().size(), 1U);
  EXPECT_EQ(get(plan_id("plan") + "/images?region=nowhere").status, 400);
}

TEST_F(LabRoutes, ANewLabAnswersAsAzureDoesAndItsTemplateVmRuns) {
  prepare();
  const Answer made = put(lab_id("lab-1"), lab_body());
  ASSERT_EQ(made.status, 201) << made.response.body;
  EXPECT_EQ(made.at("properties.provisioningState"), "Creating");
  EXPECT_EQ(made.at("properties.state"), "Draft");
  EXPECT_EQ(made.at("properties.virtualMachineProfile.adminUser.username"), "ayumi");
  EXPECT_EQ(made.response.body.find(kPassword), std::string::npos);
  EXPECT_EQ(made.response.body.find("$6$"), std::string::npos);
  EXPECT_EQ(made.response.header("Retry-After"), "1");
  EXPECT_NE(made.response.header("Location").find("monitor=true"), std::string::npos);
  EXPECT_EQ(finished(made.operation_id()).state, ops::State::kSucceeded);
  EXPECT_EQ(get(lab_id("LAB-1")).at("properties.provisioningState"), "Succeeded");
  for (const std::string name : {"0", "template", "Template"}) {
    const Answer vm = get(lab_id("lab-1") + "/virtualMachines/" + name);
    EXPECT_EQ(vm.at("name"), "0");
    EXPECT_EQ(vm.at("properties.vmType"), "Template");
    EXPECT_EQ(vm.at("properties.state"), "Running");
    EXPECT_EQ(vm.at("properties.connectionProfile.adminUsername"), "ayumi");
    EXPECT_NE(vm.at("properties.connectionProfile.sshAuthority"), "");
  }
  EXPECT_EQ(get(lab_id("lab-1") + "/virtualMachines").body.at("value").as_array().size(), 1U);
  EXPECT_EQ(get(group_id() + "/providers/Microsoft.LabServices/labs").body.at("value").as_array().size(), 1U);
}

TEST_F(LabRoutes, ALabIsChangedAndDeleted) {
  prepare();
  make_lab("lab-1");
  EXPECT_EQ(put(lab_id("lab-1"), lab_body()).status, 200) << "the same PUT again";
  const Answer patched = patch(
      lab_id("lab-1"), {{"tags", {{"term", nullptr}, {"year", "2026"}}}, {"properties", {{"title", "Networks II"}}}});
  EXPECT_EQ(patched.at("properties.title"), "Networks II");
  EXPECT_EQ(patched.body.at("tags"), (json::object{{"year", "2026"}}));
  json::object other = lab_body();
  set_at(other, "properties.virtualMachineProfile.sku.name", json::value("Classic_Fsv2_2_4GB_128_S_SSD"));
  const Answer fixed = put(lab_id("lab-1"), other);
  EXPECT_EQ(fixed.status, 409);
  EXPECT_EQ(fixed.code(), "PropertyChangeNotAllowed");
  const Answer accepted = raw("DELETE", lab_id("lab-1"), "");
  EXPECT_EQ(accepted.status, 202);
  EXPECT_EQ(finished(accepted.operation_id()).state, ops::State::kSucceeded);
  EXPECT_EQ(get(lab_id("lab-1")).status, 404);
  EXPECT_EQ(raw("DELETE", lab_id("lab-1"), "").status, 204);
}

TEST_F(LabRoutes, ALabOutlivesItsLabAccountButCanNoLongerBeExported) {
  prepare();
  make_lab("lab-1");
  act("lab-1", "stop");
  EXPECT_EQ(raw("DELETE", plan_id("plan"), "").status, 200);
  EXPECT_EQ(get(lab_id("lab-1")).status, 200);
  EXPECT_EQ(save("prepared", machine("lab-1")).status, 404);
}

TEST_F(LabRoutes, BadLabsAreRefusedAndLeaveNothingBehind) {
  prepare();
  const std::string id = lab_id("lab-1");
  json::object body = lab_body();
  body["location"] = "westus2";
  EXPECT_EQ(put(id, body).status, 400);
  body["location"] = "japanwest";
  const Answer elsewhere = put(id, body);
  EXPECT_EQ(elsewhere.status, 409);
  EXPECT_EQ(elsewhere.code(), "ImageNotInRegion");
  body["location"] = "atlantis";
  EXPECT_EQ(put(id, body).status, 400);
  body = lab_body();
  set_at(body, "properties.virtualMachineProfile.imageReference.id", json::value(gallery_ + "/images/none"));
  EXPECT_EQ(put(id, body).code(), "GalleryImageNotFound");
  body = lab_body();
  set_at(body, "properties.labPlanId", json::value(plan_id("none")));
  EXPECT_EQ(put(id, body).status, 404);
  EXPECT_EQ(raw("PUT", id, "{\"location\":").code(), "InvalidRequestContent");
  EXPECT_EQ(raw("PUT", id, "[]").status, 400);
  EXPECT_EQ(raw("PUT", id, "").status, 400);
  EXPECT_EQ(put(lab_id("bad%20name"), lab_body()).status, 400);
  patch(plan_id("plan"), {{"properties", {{"sharedGalleryId", nullptr}}}});
  EXPECT_EQ(put(id, lab_body()).code(), "GalleryNotAttached");
  EXPECT_EQ(get(id).status, 404);
  EXPECT_TRUE(hypervisor_.list().value().empty());
}

TEST_F(LabRoutes, UnknownLabsMachinesAndAccountsAreNotFound) {
  prepare();
  make_lab("lab-1");
  EXPECT_EQ(get(lab_id("none")).code(), "ResourceNotFound");
  EXPECT_EQ(patch(lab_id("none"), json::object()).code(), "ResourceNotFound");
  EXPECT_EQ(get(lab_id("none") + "/virtualMachines").code(), "ParentResourceNotFound");
  EXPECT_EQ(get(lab_id("none") + "/virtualMachines/0").code(), "ResourceNotFound");
  EXPECT_EQ(post(lab_id("none") + "/virtualMachines/0/start").code(), "ResourceNotFound");
  EXPECT_EQ(post(lab_id("lab-1") + "/virtualMachines/77/stop").code(), "ResourceNotFound");
  EXPECT_EQ(get(plan_id("none")).code(), "ResourceNotFound");
  EXPECT_EQ(put(subscription_scope() + "/resourceGroups/none/providers/Microsoft.LabServices/labPlans/p",
                {{"location", "japaneast"}})
                .code(),
            "ResourceGroupNotFound");
  EXPECT_EQ(get("/subscriptions/0/providers/Microsoft.LabServices/labs").code(), "SubscriptionNotFound");
}

TEST_F(LabRoutes, AnExportOfARunningTemplateIsAcceptedOnceAndKeepsOthersOff) {
  prepare();
  make_lab("lab-1");
  ASSERT_EQ(get(machine("lab-1")).at("properties.state"), "Running");
  const Answer accepted = save("prepared", lab_id("LAB-1") + "/VirtualMachines/TEMPLATE");
  ASSERT_EQ(accepted.status, 202) << accepted.response.body;
  EXPECT_EQ(accepted.at("status"), "InProgress");
  EXPECT_NE(accepted.response.header("Azure-AsyncOperation").find("/locations/japaneast/operationResults/"),
            std::string::npos);
  // The runner of this test knows no exports, so it stays queued: now nothing else may touch the machine.
  const Answer second = save("second", machine("lab-1"));
  EXPECT_EQ(second.status, 409);
  EXPECT_NE(second.message().find(accepted.operation_id()), std::string::npos);
  EXPECT_EQ(row(gallery_ + "/images/second"), std::nullopt) << "a refused export was left behind";
  EXPECT_EQ(post(machine("lab-1") + "/start").status, 409);
  const Answer stop = post(machine("lab-1") + "/stop");
  EXPECT_EQ(stop.status, 409);
  EXPECT_NE(stop.message().find(accepted.operation_id()), std::string::npos);
  EXPECT_EQ(raw("DELETE", lab_id("lab-1"), "").status, 409);
  EXPECT_EQ(get(lab_id("lab-1")).at("properties.provisioningState"), "Succeeded");
}

TEST_F(LabRoutes, BadExportsAreRefusedEachWithItsOwnError) {
  prepare();
  make_lab("lab-1");
  act("lab-1", "stop");
  for (const std::string& name : {std::string(), std::string("has space"), std::string("-begins"), std::string("ends."),
                                  std::string("a/b"), std::string(81, 'x'), std::string("日本"), std::string("a\nb")}) {
    const Answer refused = save(name, machine("lab-1"));
    EXPECT_EQ(refused.status, 400) << name;
    EXPECT_EQ(refused.at("error.target"), "name") << name;
  }
  EXPECT_EQ(post(plan_id("plan") + "/saveImage", {{"name", 7}, {"labVirtualMachineId", machine("lab-1")}}).status, 400);
  EXPECT_EQ(post(plan_id("plan") + "/saveImage", {{"name", "fine"}}).at("error.target"), "labVirtualMachineId");
  EXPECT_EQ(raw("POST", plan_id("plan") + "/saveImage", "{").status, 400);
  EXPECT_EQ(save("fine", lab_id("lab-1")).status, 400);
  EXPECT_EQ(save("fine", machine("none")).status, 404);
  EXPECT_EQ(save("fine", lab_id("lab-1") + "/virtualMachines/9").status, 404);
  EXPECT_EQ(save("fine", machine("lab-1"), "none").status, 404);
  put(plan_id("bare"), {{"location", "japaneast"}});
  const Answer bare = save("fine", machine("lab-1"), "bare");
  EXPECT_EQ(bare.status, 409);
  EXPECT_EQ(bare.code(), "GalleryNotAttached");
  EXPECT_EQ(row(gallery_ + "/images/fine"), std::nullopt);
}

TEST_F(LabRoutes, SizesAndOperationsAreListed) {
  const json::array skus =
      get(subscription_scope() + "/providers/Microsoft.LabServices/skus").body.at("value").as_array();
  EXPECT_EQ(skus.size(), 4U);
  EXPECT_EQ(string_at(skus[0].as_object(), "name"), "Atelier_Tiny_1_512MB");
  EXPECT_GT(get("/providers/Microsoft.LabServices/operations").body.at("value").as_array().size(), 10U);
}

}  // namespace
}  // namespace atelier::api
