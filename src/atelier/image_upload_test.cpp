// `atelier image upload`, as people run it.
#include <gtest/gtest.h>

#include <fstream>

#include "atelier/client_fixture.h"

namespace atelier::cli {
namespace {

class UploadCommand : public ClientCommand {
 protected:
  UploadCommand() : disk_(3 << 20, '\0') {
    // Data at the beginning, zeros, data in the middle; the file is not a multiple of anything.
    disk_.resize(disk_.size() * 5 + 777);
    for (std::size_t i = 0; i < 100'000; ++i) disk_[i] = static_cast<char>('a' + i % 23);
    for (std::size_t i = 0; i < 300'000; ++i) disk_[9'000'000 + i] = static_cast<char>('A' + i % 19);
    disk_.back() = 'z';
    std::ofstream(file_, std::ios::binary) << disk_;
  }

  // All of an upload that succeeds; the definition is there when `definition_exists`.
  void answers() {
    sign_in();
    const std::string definition = kGallery + "/images/tiny";
    service_.answer("PUT " + definition, resource(definition), 201);
    service_.answer("GET " + definition + "/versions",
                    list({resource("/1.0.0", {{"provisioningState", "Succeeded"}}),
                          resource("/1.0.9", {{"provisioningState", "Succeeded"}})}));
    service_.answer_with_operation("PUT " + definition + "/versions/1.0.10", 201, {operation_status("Succeeded", 100)});
    service_.answer("GET " + definition + "/versions/1.0.10",
                    resource(definition + "/versions/1.0.10", {{"provisioningState", "Succeeded"}}));
  }

  // The disk's name is made from the file: known once the program has asked for it.
  void disk_answers() {
    run(upload_);
    disk_id_ = service_.seen("PUT " + kGroup + "/providers/Microsoft.Compute/disks/").at(0).target;
    disk_id_ = disk_id_.substr(0, disk_id_.find('?'));
    service_.answer("PUT " + disk_id_, resource(disk_id_), 200);
    service_.answer("POST " + disk_id_ + "/beginGetAccess",
                    json::object{{"accessSAS", "https://elsewhere.example/uploads/d?sig=secret"}});
    service_.answer("POST " + disk_id_ + "/endGetAccess", json::object{});
    service_.answer("DELETE " + disk_id_, http::Response::empty(204));
  }

  std::filesystem::path file_ = service_.folder() / "tiny.raw";
  std::string disk_;
  std::string disk_id_;
  const std::vector<std::string> upload_ = {"image",    "upload",    file_,      "--name",   "tiny",
                                            "--region", "japaneast", "--region", "japanwest"};
};

TEST_F(UploadCommand, SendsTheDataAndNotTheZerosAndMakesAVersionOfIt) {
  answers();
  disk_answers();
  const Outcome done = run(upload_);
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("1.0.10"), std::string::npos);
  service_.uploaded.resize(disk_.size());
  EXPECT_TRUE(service_.uploaded == disk_);
  EXPECT_EQ(service_.seen("PUT /uploads/d").size(), 3u);
  EXPECT_EQ(service_.seen("PUT /uploads/d")[0].authorization, "") << "a signed URL needs no token";
  const json::object definition = last_body("PUT " + kGallery + "/images/tiny?");
  EXPECT_EQ(string_at(definition, "properties.osState"), "Generalized");
  EXPECT_EQ(string_at(definition, "properties.identifier.sku"), "tiny");
  EXPECT_EQ(uint_at(last_body("PUT " + disk_id_), "properties.creationData.uploadSizeBytes"), disk_.size());
  const json::object version = last_body("PUT " + kGallery + "/images/tiny/versions/1.0.10");
  EXPECT_EQ(string_at(version, "properties.storageProfile.osDiskImage.source.id"), disk_id_);
  EXPECT_EQ(version.at("properties").at("publishingProfile").at("targetRegions").as_array().size(), 2u);
  EXPECT_EQ(service_.seen("DELETE " + disk_id_).size(), 1u);
}

TEST_F(UploadCommand, GoesOnWhereItWasCutOff) {
  answers();
  disk_answers();
  service_.uploads_before_failure = 1;
  const Outcome cut = run(upload_);
  EXPECT_EQ(cut.code, 1);
  EXPECT_EQ(service_.seen("DELETE").size(), 0u);
  service_.uploads_before_failure = 100;
  const std::size_t before = service_.seen("PUT /uploads/d").size();
  const Outcome done = run(upload_);
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(service_.seen("PUT /uploads/d").size() - before, 2u);
  service_.uploaded.resize(disk_.size());
  EXPECT_TRUE(service_.uploaded == disk_);
}

TEST_F(UploadCommand, WhatIsNoDiskLeavesNoUploadBehind) {
  answers();
  disk_answers();
  service_.answer("PUT " + kGallery + "/images/tiny/versions/2.0.0", error("InvalidParameter", "This is no disk."),
                  400);
  std::vector<std::string> second = upload_;
  second.insert(second.end(), {"--version", "2.0.0"});
  run(second);
  std::string disk = service_.seen("PUT " + kGroup + "/providers/Microsoft.Compute/disks/upload-tiny-2").at(0).target;
  disk = disk.substr(0, disk.find('?'));
  service_.answer("GET " + disk, resource(disk, {{"diskState", "Unattached"}}));
  service_.answer("DELETE " + disk, http::Response::empty(204));
  service_.answer("DELETE " + kGallery + "/images/tiny", http::Response::empty(204));
  const Outcome refused = run(second);
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.err, "(InvalidParameter) This is no disk.\n");
  EXPECT_EQ(service_.seen("DELETE " + disk).size(), 1u);
  EXPECT_EQ(service_.seen("DELETE " + kGallery + "/images/tiny").size(), 1u) << "made for nothing";
}

TEST_F(UploadCommand, RefusesWhatCannotBeBeforeItSendsAnything) {
  answers();
  EXPECT_EQ(run({"image", "upload", "/nowhere.raw", "--name", "tiny"}).code, 3);
  std::vector<std::string> again = upload_;
  again.insert(again.end(), {"--version", "1.0.0"});
  const Outcome taken = run(again);
  EXPECT_EQ(taken.code, 4);
  EXPECT_NE(taken.err.find("already"), std::string::npos);
  EXPECT_EQ(run({"image", "upload", file_, "--name", "tiny", "--os-state", "odd"}).code, 2);
  EXPECT_EQ(service_.seen("PUT " + kGroup + "/providers/Microsoft.Compute/disks").size(), 0u);
}

}  // namespace
}  // namespace atelier::cli
