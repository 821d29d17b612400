// The pure rules: durations, credentials, sizes, and what lab accounts and labs may say about themselves.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "catalog/regions.h"
#include "labs/credentials.h"
#include "labs/durations.h"
#include "labs/lab_settings.h"
#include "labs/plan_settings.h"
#include "labs/vm_sizes.h"

namespace atelier::labs {
namespace {

using std::chrono::seconds;

const catalog::Regions& regions() {
  static const catalog::Regions all_regions(
      std::vector<catalog::Region>{{.name = "japaneast", .display_name = "Japan East", .geography = "japan"},
                                   {.name = "japanwest", .display_name = "Japan West", .geography = "japan"},
                                   {.name = "westus2", .display_name = "West US 2", .geography = "us"}});
  return all_regions;
}

json::object parsed(std::string_view text) { return parse_json_object(text).value(); }

json::object minimal_lab() {
  return parsed(R"({"labPlanId":"/subscriptions/s/resourceGroups/g/providers/Microsoft.LabServices/labPlans/p",
    "virtualMachineProfile":{"createOption":"templatevm","imageReference":{"id":"/an/image"},
      "sku":{"name":"atelier_tiny_1_512mb","capacity":1},"usageQuota":"PT10H","useSharedPassword":"enabled",
      "adminUser":{"username":"ayumi","password":"Kyoshitsu-2026"}}})");
}

TEST(Durations, AreReadAndWrittenInTheirNormalForm) {
  EXPECT_EQ(parse_duration("PT10H", "d").value(), seconds(36000));
  EXPECT_EQ(parse_duration("P1DT2H3M4S", "d").value(), seconds(86400 + 7384));
  EXPECT_EQ(to_iso8601(seconds(86400 + 7384)), "PT26H3M4S");
  EXPECT_EQ(to_iso8601(seconds(0)), "PT0S");
  EXPECT_EQ(to_iso8601(parse_duration("P10D", "d").value()), "PT240H");
}

TEST(Durations, RefuseWhatIsNoDurationOfDaysToSeconds) {
  for (const std::string_view text : {"", "P", "PT", "10H", "PT10", "PT1.5H", "-PT1H", "P1Y", "P1W", "PT1M1H", "P1DT",
                                      "PT99999999999999999999H", "PT10H "}) {
    const auto read = parse_duration(text, "the.field");
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error().target(), "the.field");
  }
}

TEST(Credentials, ANewUserMustBeOneThatEveryLinuxGuestCanMake) {
  EXPECT_TRUE(check_user_name("ayumi", UserAccount::kNew, "u"));
  for (const std::string_view name :
       {"", "root", "www-data", "systemd-network", "1st", "Ayumi", "a b", "a:b", "日本"}) {
    EXPECT_FALSE(check_user_name(name, UserAccount::kNew, "u").has_value()) << name;
  }
  EXPECT_TRUE(check_user_name("Ayumi.T", UserAccount::kExisting, "u"));
  EXPECT_FALSE(check_user_name("a\nb", UserAccount::kExisting, "u").has_value());
}

TEST(Credentials, APasswordNeedsLengthAndThreeKindsAndNeverAppearsInTheError) {
  EXPECT_TRUE(check_password("Kyoshitsu-2026", "p"));
  EXPECT_TRUE(check_password("パスワードPw1", "p"));
  const std::vector<std::string> bad = {
      "", "Short1!", "alllowercase", "lower12345", std::string(73, 'a') + "A1", "New\nLine-1"};
  for (const std::string& password : bad) {
    const Status checked = check_password(password, "p");
    ASSERT_FALSE(checked.has_value()) << password;
    if (password.empty()) continue;
    EXPECT_EQ(checked.error().message().find(password), std::string::npos);
  }
}

TEST(VmSizes, AreFoundInAnyCaseAndAnUnknownOneNamesThoseThereAre) {
  EXPECT_EQ(require_vm_size("classic_fsv2_2_4gb_128_s_ssd", "sku").value()->memory_mib, 4096U);
  const auto unknown = require_vm_size("Huge", "sku");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().message().find("Atelier_Tiny_1_512MB"), std::string::npos);
}

TEST(PlanSettings, AllowTheHomeGeographyUnlessRegionsAreNamed) {
  db::Resource plan;
  plan.properties = read_plan({}, "japaneast", regions()).value();
  EXPECT_EQ(allowed_regions_of(plan), (std::vector<std::string>{"japaneast", "japanwest"}));
  EXPECT_EQ(attached_gallery_of(plan), "");
  plan.properties = read_plan(parsed(R"({"allowedRegions":["West US 2","westus2"]})"), "japaneast", regions()).value();
  EXPECT_EQ(allowed_regions_of(plan), std::vector<std::string>{"westus2"});
}

TEST(PlanSettings, DetachOnNullEmptyOrAbsentGallery) {
  for (const char* text : {"{}", R"({"sharedGalleryId":null})", R"({"sharedGalleryId":""})"}) {
    EXPECT_FALSE(read_plan(parsed(text), "japaneast", regions()).value().contains("sharedGalleryId")) << text;
  }
}

TEST(PlanSettings, RefuseWrongRegionsIdsWordsAndTypes) {
  for (const char* text :
       {R"({"allowedRegions":["atlantis"]})", R"({"allowedRegions":[]})", R"({"allowedRegions":7})",
        R"({"sharedGalleryId":"gallery"})", R"({"sharedGalleryId":7})",
        R"({"sharedGalleryId":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d"})",
        R"({"defaultConnectionProfile":{"clientSshAccess":"Everybody"}})",
        R"({"defaultAutoShutdownProfile":{"idleDelay":"soon"}})", R"({"defaultAutoShutdownProfile":[]})",
        R"({"supportInfo":{"email":"x"}})"}) {
    const auto read = read_plan(parsed(text), "japaneast", regions());
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error().code(), Code::kInvalidArgument) << text;
    EXPECT_TRUE(read.error().target().starts_with("properties.")) << text << read.error().target();
  }
}

TEST(LabSettings, FillInDefaultsAndNormaliseWords) {
  const NewLab lab = read_new_lab(minimal_lab(), "lab-1", {}).value();
  EXPECT_EQ(string_at(lab.properties, "title"), "lab-1");
  EXPECT_EQ(string_at(lab.properties, "state"), "Draft");
  EXPECT_EQ(string_at(lab.properties, "virtualMachineProfile.createOption"), "TemplateVM");
  EXPECT_EQ(string_at(lab.properties, "virtualMachineProfile.useSharedPassword"), "Enabled");
  EXPECT_EQ(string_at(lab.properties, "virtualMachineProfile.sku.name"), "Atelier_Tiny_1_512MB");
  EXPECT_EQ(string_at(lab.properties, "autoShutdownProfile.shutdownOnIdle"), "None");
  EXPECT_EQ(string_at(lab.properties, "connectionProfile.clientSshAccess"), "Public");
  EXPECT_EQ(string_at(lab.properties, "securityProfile.openAccess"), "Disabled");
  EXPECT_EQ(string_at(lab.properties, "securityProfile.registrationCode").size(), 20U);
  EXPECT_EQ(lab.password, "Kyoshitsu-2026");
  EXPECT_EQ(to_text(lab.properties).find("Kyoshitsu"), std::string::npos) << "the password is answered";
}

TEST(LabSettings, TakeTheLabAccountsProfilesAsDefaults) {
  const json::object plan = parsed(R"({"defaultConnectionProfile":{"clientSshAccess":"Private"}})");
  const NewLab lab = read_new_lab(minimal_lab(), "lab-1", plan).value();
  EXPECT_EQ(string_at(lab.properties, "connectionProfile.clientSshAccess"), "Private");
}

struct WrongField {
  std::string field;
  std::string value;  // JSON
};

TEST(LabSettings, RefuseWhatIsWrongAndNameTheField) {
  const std::vector<WrongField> wrong = {{"title", "\"" + std::string(121, 'x') + "\""},
                                         {"title", "7"},
                                         {"virtualMachineProfile.createOption", R"("Magic")"},
                                         {"virtualMachineProfile.imageReference", "{}"},
                                         {"virtualMachineProfile.sku.name", "null"},
                                         {"virtualMachineProfile.sku.name", R"("Huge")"},
                                         {"virtualMachineProfile.sku.capacity", "-1"},
                                         {"virtualMachineProfile.sku.capacity", "401"},
                                         {"virtualMachineProfile.sku.capacity", "1.5"},
                                         {"virtualMachineProfile.sku.capacity", R"("many")"},
                                         {"virtualMachineProfile.usageQuota", R"("ten hours")"},
                                         {"virtualMachineProfile.usageQuota", R"("PT10000H")"},
                                         {"virtualMachineProfile.useSharedPassword", R"("Perhaps")"},
                                         {"virtualMachineProfile.adminUser.username", "7"},
                                         {"securityProfile", R"({"openAccess":true})"}};
  for (const auto& [field, value] : wrong) {
    json::object given = minimal_lab();
    set_at(given, field, parse_json(value).value());
    const auto read = read_new_lab(given, "lab-1", {});
    ASSERT_FALSE(read.has_value()) << field << " " << value;
    EXPECT_EQ(read.error().code(), Code::kInvalidArgument);
    EXPECT_TRUE(read.error().target().starts_with("properties." + field)) << field << " " << read.error().target();
  }
  json::object templateless = minimal_lab();
  set_at(templateless, "virtualMachineProfile.createOption", json::value("Image"));
  EXPECT_EQ(read_new_lab(templateless, "lab-1", {}).error().code(), Code::kUnsupported);
}

db::Resource made_lab() {
  db::Resource lab;
  lab.properties = read_new_lab(minimal_lab(), "lab-1", {}).value().properties;
  lab.properties["labPlanId"] = string_at(minimal_lab(), "labPlanId");
  lab.properties["description"] = "before";
  return lab;
}

TEST(LabSettings, APatchChangesWhatItNamesAndKeepsTheRest) {
  const db::Resource lab = made_lab();
  const json::object changed =
      change_lab(lab, parsed(R"({"title":"New","securityProfile":{"openAccess":"enabled"}})"), Change::kMerge).value();
  EXPECT_EQ(string_at(changed, "title"), "New");
  EXPECT_EQ(string_at(changed, "description"), "before");
  EXPECT_EQ(string_at(changed, "securityProfile.openAccess"), "Enabled");
  EXPECT_EQ(string_at(changed, "securityProfile.registrationCode"),
            string_at(lab.properties, "securityProfile.registrationCode"));
}

TEST(LabSettings, PuttingBackWhatWasReadChangesNothingButAnAbsentDescription) {
  const db::Resource lab = made_lab();
  EXPECT_EQ(change_lab(lab, lab.properties, Change::kReplace).value(), lab.properties);
  EXPECT_FALSE(change_lab(lab, minimal_lab(), Change::kReplace).value().contains("description"));
}

TEST(LabSettings, WhatIsFixedAtCreationCannotBeChanged) {
  for (const std::string_view field :
       {"labPlanId", "virtualMachineProfile.imageReference.id", "virtualMachineProfile.sku.name",
        "virtualMachineProfile.adminUser.username", "virtualMachineProfile.useSharedPassword"}) {
    json::object given;
    set_at(given, field, json::value("/other"));
    const auto changed = change_lab(made_lab(), given, Change::kMerge);
    ASSERT_FALSE(changed.has_value()) << field;
    EXPECT_EQ(changed.error().reason(), "PropertyChangeNotAllowed");
    EXPECT_EQ(changed.error().target(), fmt::format("properties.{}", field));
  }
}

}  // namespace
}  // namespace atelier::labs
