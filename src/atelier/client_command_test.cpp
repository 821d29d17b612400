// The service's commands, as people run them: arguments, exit codes, what is printed where.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "atelier/client_fixture.h"

namespace atelier::cli {
namespace {

TEST_F(ClientCommand, LoginKeepsServerCaAndTokenForItsOwnerOnly) {
  sign_in();
  struct stat facts{};
  ASSERT_EQ(::stat(program_.config_file().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
  const Outcome listed = run({"gallery", "list"});
  EXPECT_EQ(listed.code, 0) << listed.err;
  EXPECT_EQ(service_.seen("GET " + kGalleries).back().authorization, "Bearer T1");
  EXPECT_EQ(run({"logout"}).code, 0);
  EXPECT_EQ(run({"gallery", "list"}).code, 5);
}

TEST_F(ClientCommand, LoginSaysWhatIsWrong) {
  const std::vector<std::string> login = {"login", "--server", service_.url(), "--ca", service_.ca_file(),
                                          "-u",    "admin"};
  const Outcome wrong = program_.run(login, {"ATELIER_PASSWORD=wrong"});
  EXPECT_EQ(wrong.code, 5);
  EXPECT_EQ(wrong.err, "(invalid_grant) The user name or the password is wrong.\n");
  EXPECT_EQ(run(login).code, 2);  // no password and nobody to ask
  const Outcome untrusted = run({"login", "--server", service_.url(), "-u", "admin", "-p", "right"});
  EXPECT_EQ(untrusted.code, 5);
  EXPECT_NE(untrusted.err.find("CA file"), std::string::npos) << untrusted.err;
  EXPECT_FALSE(std::filesystem::exists(program_.config_file()));
}

TEST_F(ClientCommand, TheEnvironmentCountsBeforeWhatLoginKept) {
  sign_in();
  const Outcome listed = program_.run({"gallery", "list"}, {"ATELIER_TOKEN=other"});
  EXPECT_EQ(listed.code, 0) << listed.err;
  EXPECT_EQ(service_.seen("GET " + kGalleries).back().authorization, "Bearer other");
  // A kept token goes to the server it is from only.
  EXPECT_EQ(program_.run({"gallery", "list"}, {"ATELIER_SERVER=https://127.0.0.1:1"}).code, 5);
}

TEST_F(ClientCommand, AnExpiredSignInIsRenewedByItself) {
  sign_in();
  std::ifstream file(program_.config_file());
  json::object config = parse_json_object(std::string(std::istreambuf_iterator<char>(file), {})).value();
  config["tokenExpiresAt"] = "2020-01-01T00:00:00.000Z";
  config["token"] = "old";
  std::ofstream(program_.config_file()) << to_text(config);
  EXPECT_EQ(run({"gallery", "list"}).code, 0);
  EXPECT_EQ(service_.seen("GET " + kGalleries).back().authorization, "Bearer T1");
  config["refreshToken"] = "";
  std::ofstream(program_.config_file()) << to_text(config);
  const Outcome expired = run({"gallery", "list"});
  EXPECT_EQ(expired.code, 5);
  EXPECT_NE(expired.err.find("atelier login"), std::string::npos);
}

TEST_F(ClientCommand, ListsAreTablesForPeopleAndTheApisOwnBodyForPrograms) {
  sign_in();
  EXPECT_EQ(run({"gallery", "list"}).out, "NAME  LOCATION   STATE      DESCRIPTION\ng1    japaneast  Succeeded\n");
  const auto parsed = parse_json_object(run({"-o", "json", "gallery", "ls"}).out);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(*parsed, list({resource(kGallery, {{"provisioningState", "Succeeded"}})}));
  const auto shown = parse_json_object(run({"gallery", "show", "G1", "-o", "json"}).out);
  ASSERT_TRUE(shown.has_value());
  EXPECT_EQ(string_at(*shown, "id"), kGallery);
}

TEST_F(ClientCommand, ColumnsLineUpInJapaneseAndTextCannotSteerTheTerminal) {
  sign_in();
  service_.answer("GET /subscriptions/s/resourceGroups/ja/providers/Microsoft.LabServices/labs",
                  list({resource("/a/eigo", {{"title", "英語"}, {"state", "日本"}}),
                        resource("/a/b", {{"title", "\x1b[2J"}, {"state", "Draft"}})}));
  EXPECT_EQ(run({"lab", "list", "-g", "ja"}).out,
            "NAME  STATE  PROVISIONING  LOCATION   IMAGE  TITLE\n"
            "eigo  日本                 japaneast         英語\n"
            "b     Draft                japaneast         ?[2J\n");
}

TEST_F(ClientCommand, FollowsThePagesOfAList) {
  sign_in();
  json::object first = list({resource(kLab + "1")});
  first["nextLink"] = "https://elsewhere.example/more?$skipToken=x";
  service_.answer("GET /subscriptions/s/resourceGroups/rg/providers/Microsoft.LabServices/labs", first);
  service_.answer("GET /more", list({resource(kLab + "2")}));
  const Outcome listed = run({"lab", "list", "-g", "rg"});
  EXPECT_NE(listed.out.find("english1"), std::string::npos) << listed.err;
  EXPECT_NE(listed.out.find("english2"), std::string::npos);
}

TEST_F(ClientCommand, ShortNamesMustMeanOneThing) {
  sign_in();
  const Outcome missing = run({"gallery", "show", "nothing"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_EQ(missing.err, "atelier: There is no gallery 'nothing'. See: atelier gallery list\n");
  service_.answer("GET /subscriptions/s/resourceGroups/two/providers/Microsoft.LabServices/labs",
                  list({resource("/subscriptions/s/a/english"), resource("/subscriptions/s/b/English")}));
  const Outcome both = run({"lab", "show", "english", "-g", "two"});
  EXPECT_EQ(both.code, 2);
  EXPECT_NE(both.err.find("/subscriptions/s/b/English"), std::string::npos);
  EXPECT_EQ(run({"lab", "show", kLab}).code, 0);
}

TEST_F(ClientCommand, TheServicesErrorsBecomeOneLineAndAnExitCode) {
  sign_in();
  struct Case {
    int status;
    int code;
  };
  for (const Case& one : {Case{400, 2}, Case{401, 5}, Case{403, 5}, Case{404, 3}, Case{409, 4}, Case{412, 4},
                          Case{500, 1}, Case{507, 1}}) {
    const std::string path = fmt::format("/subscriptions/s/galleries/e{}", one.status);
    service_.answer("GET " + path, error("SomeCode", "What is wrong."), one.status);
    const Outcome shown = run({"gallery", "show", path});
    EXPECT_EQ(shown.code, one.code) << one.status;
    EXPECT_TRUE(shown.err.starts_with("(SomeCode) What is wrong.")) << shown.err;
    EXPECT_EQ(std::ranges::count(shown.err, '\n'), 1);
    EXPECT_EQ(shown.out, "");
  }
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{},
                                                                                     {"gallery"},
                                                                                     {"gallery", "show"},
                                                                                     {"nonsense"},
                                                                                     {"lab", "list", "-o", "yaml"},
                                                                                     {"lab", "list", "--what"}}) {
    EXPECT_EQ(run(wrong).code, 2);
  }
}

TEST_F(ClientCommand, CreatingAGallerySendsThePlaceOfItsGroup) {
  sign_in();
  service_.answer("PUT " + kGallery, resource(kGallery), 201);
  EXPECT_EQ(run({"gallery", "create", "g1", "--description", "For all"}).code, 0);
  const json::object body = last_body("PUT " + kGallery);
  EXPECT_EQ(string_at(body, "location"), "japaneast");
  EXPECT_EQ(string_at(body, "properties.description"), "For all");
}

TEST_F(ClientCommand, AttachDetachAndTheImagesOfAnAccount) {
  sign_in();
  service_.answer("PATCH " + kAccount, resource(kAccount));
  EXPECT_EQ(run({"account", "attach", "contoso", "--gallery", "g1"}).code, 0);
  EXPECT_EQ(string_at(last_body("PATCH"), "properties.sharedGalleryId"), kGallery);
  EXPECT_EQ(run({"account", "detach", "contoso"}).code, 0);
  EXPECT_TRUE(last_body("PATCH").at("properties").at("sharedGalleryId").is_null());
  const json::object image = resource(kAccount + "/images/tiny", {{"enabledState", "Disabled"}});
  service_.answer("GET " + kAccount + "/images", list({image}));
  service_.answer("PATCH " + kAccount + "/images/tiny", image);
  EXPECT_NE(run({"account", "images", "list", "contoso"}).out.find("tiny  Disabled"), std::string::npos);
  EXPECT_EQ(run({"account", "images", "disable", "contoso", "tiny"}).code, 0);
  EXPECT_EQ(string_at(last_body("PATCH " + kAccount + "/images/tiny"), "properties.enabledState"), "Disabled");
}

TEST_F(ClientCommand, ALabIsMadeFromAnImageOfItsAccount) {
  sign_in();
  service_.answer("GET " + kAccount + "/images/tiny",
                  resource(kAccount + "/images/tiny", {{"sharedGalleryId", kGallery + "/images/tiny"}}));
  service_.answer_with_operation("PUT " + kLab, 201,
                                 {operation_status("InProgress", 10), operation_status("Succeeded", 100)});
  const Outcome made =
      run({"lab", "create", "english", "--image", "tiny", "--user", "ayumi", "--password", "Kyoshitsu-2026"});
  EXPECT_EQ(made.code, 0) << made.err;
  EXPECT_NE(made.out.find("Name"), std::string::npos);
  const json::object body = last_body("PUT " + kLab);
  EXPECT_EQ(string_at(body, "properties.labPlanId"), kAccount);
  EXPECT_EQ(string_at(body, "properties.virtualMachineProfile.imageReference.id"), kGallery + "/images/tiny");
  EXPECT_EQ(string_at(body, "properties.virtualMachineProfile.adminUser.password"), "Kyoshitsu-2026");
  EXPECT_EQ(string_at(body, "properties.virtualMachineProfile.sku.name"), "Atelier_Tiny_1_512MB");
  EXPECT_EQ(run({"lab", "create", "english", "--image", "gone", "--user", "a", "--password", "b"}).code, 3);
}

TEST_F(ClientCommand, DeletingWaitsAndWhatIsGoneIsMissing) {
  sign_in();
  service_.answer_with_operation("DELETE " + kLab, 202, {operation_status("Succeeded", 100)});
  EXPECT_EQ(run({"lab", "delete", "english", "-y"}).code, 0);
  EXPECT_EQ(run({"lab", "delete", "other", "-y"}).code, 3);
}

class ExportCommand : public ClientCommand {
 protected:
  void export_answers(const std::vector<json::object>& statuses) {
    sign_in();
    service_.answer_with_operation("POST " + kAccount + "/saveImage", 202, statuses);
  }
  const std::vector<std::string> export_ = {"template", "export", "english", "--name", "prepared"};

  std::vector<std::string> with(std::vector<std::string> more) const {
    std::vector<std::string> all = export_;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(ExportCommand, WaitsAndSaysWhichVersionItMade) {
  export_answers(
      {operation_status("NotStarted", 0), operation_status("InProgress", 42), operation_status("Succeeded", 100)});
  const Outcome done = run(export_);
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("Image          prepared\nVersion        1.0.0\n"), std::string::npos) << done.out;
  EXPECT_EQ(done.err, "");  // no progress line where no terminal is
  EXPECT_EQ(string_at(last_body("POST"), "labVirtualMachineId"), kLab + "/virtualMachines/0");
  EXPECT_EQ(string_at(last_body("POST"), "name"), "prepared");
}

TEST_F(ExportCommand, TellsProgramsItsProgressAsJson) {
  export_answers({operation_status("InProgress", 42), operation_status("Succeeded", 100)});
  const Outcome done = run(with({"--progress=json", "-o", "json"}));
  EXPECT_EQ(done.code, 0);
  const auto first = parse_json_object(done.err.substr(0, done.err.find('\n')));
  ASSERT_TRUE(first.has_value()) << done.err;
  EXPECT_EQ(*first, operation_status("InProgress", 42));
  EXPECT_EQ(parse_json_object(done.out).value_or(json::object()), operation_status("Succeeded", 100));
}

TEST_F(ExportCommand, CanBeLeftAloneAndFollowedLater) {
  export_answers({operation_status("InProgress", 42)});
  service_.answer("GET " + kResults + "/op1", operation_status("InProgress", 42));
  service_.answer("GET " + kResults + "/op1", operation_status("Succeeded", 100));
  const Outcome begun = run(with({"--no-wait"}));
  EXPECT_EQ(begun.code, 0);
  EXPECT_EQ(begun.out, "");
  EXPECT_NE(begun.err.find("atelier operation wait op1"), std::string::npos);
  const Outcome shown = run({"operation", "show", "op1"});
  EXPECT_NE(shown.out.find("Exporting 42% (31.2MB/s) ETA 01:20 [Reading]"), std::string::npos) << shown.out;
  EXPECT_EQ(run({"operation", "wait", "op1"}).code, 0);
}

TEST_F(ExportCommand, TheServicesRefusalAndTheOperationsFailureAreTold) {
  json::object failed = operation_status("Failed", 42);
  failed["error"] = error("InsufficientStorage", "The store is full.").at("error");
  export_answers({operation_status("InProgress", 42), failed});
  const Outcome ended = run(export_);
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.err, "(InsufficientStorage) The store is full.\n");
  service_.answer("POST " + kAccount + "2/saveImage", error("OperationNotAllowed", "Stop the template first."), 409);
  const Outcome refused = run(with({"--account", kAccount + "2"}));
  EXPECT_EQ(refused.code, 4);
  EXPECT_EQ(refused.err, "(OperationNotAllowed) Stop the template first.\n");
}

TEST_F(ExportCommand, GivesUpWaitingAfterTheTimeout) {
  export_answers({operation_status("InProgress", 42)});
  const Outcome ended = run(with({"--timeout", "1"}));
  EXPECT_EQ(ended.code, 6);
  EXPECT_NE(ended.err.find("atelier operation wait op1"), std::string::npos);
}

TEST_F(ExportCommand, CtrlCDetachesAndSaysHowToGoOn) {
  export_answers({operation_status("InProgress", 42)});
  const pid_t pid = program_.start(export_);
  while (service_.seen("GET /subscriptions/s/providers/Microsoft.LabServices/locations").size() < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_EQ(::kill(pid, SIGINT), 0);
  const Outcome ended = program_.wait(pid);
  EXPECT_EQ(ended.code, 130);
  EXPECT_NE(ended.err.find("atelier operation wait op1"), std::string::npos) << ended.err;
}

TEST_F(ExportCommand, AskingForAnEndIsOneRequest) {
  sign_in();
  service_.answer("POST " + kResults + "/op1/cancel", json::object{}, 202);
  service_.answer("GET " + kResults + "/op1", operation_status("Canceled", 42));
  service_.answer("GET " + kResults, list({operation_status("Canceled", 42)}));
  EXPECT_EQ(run({"operation", "cancel", "op1"}).code, 0);
  EXPECT_EQ(service_.seen("POST " + kResults).size(), 1u);
  EXPECT_NE(run({"operation", "list"}).out.find("op1  ExportImage  Canceled  42%"), std::string::npos);
  EXPECT_EQ(run({"operation", "wait", "op1"}).code, 1);
}

}  // namespace
}  // namespace atelier::cli
