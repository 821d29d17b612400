// For tests: the whole router on top of gallery/gallery_fixture.h's small service; requests are dispatched without
// sockets.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/delete_group.h"
#include "api/routes.h"
#include "auth/principals.h"
#include "auth/sas.h"
#include "auth/sign_in_limit.h"
#include "auth/tokens.h"
#include "base/json.h"
#include "gallery/gallery_fixture.h"
#include "http/message.h"
#include "http/router.h"

namespace atelier::api {

class ApiFixture : public gallery::GalleryFixture {
 protected:
  static constexpr const char* kBase = "https://127.0.0.1:8443";
  static constexpr const char* kTenant = "7a1e5ee0-0000-4000-8000-0000000000aa";
  static constexpr const char* kPassword = "S3cret-words";

  struct Answer {
    int status = 0;
    json::object body;
    http::Response response;

    std::string code() const { return string_at(body, "error.code"); }
    std::string at(std::string_view path) const { return string_at(body, path); }
    std::string header(std::string_view name) const { return std::string(response.header(name)); }
    std::string operation_id() const {
      const std::string url = header("Azure-AsyncOperation");
      const std::string path = url.substr(0, url.find('?'));
      return path.substr(path.rfind('/') + 1);
    }
  };

  ApiFixture() {
    tokens_ = auth::TokenService::create(*database_, {.base_url = kBase, .tenant_id = kTenant}).value();
    signer_ = std::make_unique<auth::UploadSigner>(auth::UploadSigner::open(*database_).value());
    const auto user = auth::create_user(*database_, {.name = "admin", .password = kPassword, .tenant_id = kTenant});
    token_ = tokens_->issue(*user, std::string(kBase) + "/", std::chrono::hours(1)).value();
    context_ = std::make_unique<Context>(Context{.parts = *parts_,
                                                 .tokens = *tokens_,
                                                 .sign_in_limit = limit_,
                                                 .upload_signer = *signer_,
                                                 .labs = nullptr,
                                                 .base_url = kBase,
                                                 .tenant_id = kTenant,
                                                 .subscription_id = kSubscription,
                                                 .subscription_name = "Atelier"});
    add_routes(router_, *context_);
    add_journeys(*runner_, *context_);
    EXPECT_TRUE(runner_->start());
  }
  ~ApiFixture() override { runner_->stop(); }  // its journeys look at context_

  // As it is: no api-version and no token are added.
  Answer send(http::Request request) {
    EXPECT_TRUE(http::Router::parse_target(request)) << request.target;
    Answer answer;
    answer.response = router_.dispatch(request);
    answer.status = answer.response.status;
    if (answer.response.header("Content-Type").starts_with("application/json")) {
      answer.body = parse_json_object(answer.response.body).value_or(json::object{{"no object", true}});
    }
    EXPECT_EQ(answer.response.body.find(folder_.string()), std::string::npos) << "a host path is answered";
    return answer;
  }
  Answer call(const std::string& method, const std::string& path, std::string body = {},
              const std::string& version = "2022-03-03") {
    http::Request request;
    request.method = method;
    request.target = path + (path.find('?') == std::string::npos ? "?" : "&") + "api-version=" + version;
    request.headers = {{"Authorization", "Bearer " + token_}};
    request.body = std::move(body);
    return send(std::move(request));
  }
  Answer get(const std::string& path, const std::string& version = "2022-03-03") {
    return call("GET", path, "", version);
  }
  Answer put(const std::string& path, const json::object& body, const std::string& version = "2022-03-03") {
    return call("PUT", path, to_text(body), version);
  }
  Answer post(const std::string& path, const json::object& body = {}, const std::string& version = "2022-03-03") {
    return call("POST", path, to_text(body), version);
  }
  Answer groups(const std::string& method, const std::string& name, const json::object& body = {}) {
    return call(method, group(name), to_text(body), "2021-04-01");
  }

  static std::string group(const std::string& name = "rg") {
    return "/subscriptions/" + std::string(kSubscription) + "/resourceGroups/" + name;
  }
  static std::string compute(const std::string& rest) { return group() + "/providers/Microsoft.Compute/" + rest; }
  static json::object here(json::object properties = {}) {
    return {{"location", "japaneast"}, {"properties", std::move(properties)}};
  }
  static json::object definition_body(const std::string& sku) {
    return here({{"osType", "Linux"},
                 {"osState", "Generalized"},
                 {"hyperVGeneration", "V1"},
                 {"identifier", {{"publisher", "contoso"}, {"offer", "tiny"}, {"sku", sku}}}});
  }
  static json::object version_body(const std::string& disk, const json::array& targets = {"japaneast"}) {
    json::array regions;
    for (const json::value& name : targets) regions.push_back(json::object{{"name", name}});
    return here({{"publishingProfile", {{"targetRegions", std::move(regions)}}},
                 {"storageProfile", {{"osDiskImage", {{"source", {{"id", disk}}}}}}}});
  }
  void make_group_and_gallery() {
    ASSERT_EQ(groups("PUT", "rg", {{"location", "japaneast"}}).status, 201);
    ASSERT_EQ(put(compute("galleries/gal"), here()).status, 201);
  }

  // A disk made for a file of that size, with access begun; gives the upload's path and query.
  std::string begin_upload(const std::string& name, std::uint64_t bytes) {
    const Answer made =
        put(compute("disks/" + name),
            here({{"creationData", {{"createOption", "Upload"}, {"uploadSizeBytes", bytes}}}}), "2022-07-02");
    EXPECT_EQ(made.status, 200) << made.response.body;
    const Answer access = post(compute("disks/" + name + "/beginGetAccess"),
                               {{"access", "Write"}, {"durationInSeconds", 3600}}, "2022-07-02");
    EXPECT_EQ(access.status, 200) << access.response.body;
    const std::string url = access.at("accessSAS");
    EXPECT_TRUE(url.starts_with(std::string(kBase) + "/uploads/")) << url;
    return url.substr(std::string(kBase).size());
  }
  // `sent` says how much of the piece arrives before the connection is cut.
  Answer put_pages(const std::string& url, std::uint64_t offset, const std::string& piece,
                   std::size_t sent = std::string::npos) {
    std::size_t at = 0;
    http::BodyReader body(
        [&](std::span<std::byte> buffer) -> Result<std::size_t> {
          if (at >= sent) return fail(Code::kUnavailable, "The connection was cut.");
          const std::size_t count = std::min({buffer.size(), piece.size() - at, sent - at});
          std::memcpy(buffer.data(), piece.data() + at, count);
          at += count;
          return count;
        },
        piece.size());
    http::Request request;
    request.method = "PUT";
    request.target = url + "&comp=page";
    request.headers = {
        {"x-ms-page-write", "update"},
        {"x-ms-range", "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + piece.size() - 1)}};
    request.stream = &body;
    return send(std::move(request));
  }
  std::string page_list(const std::string& url) {
    http::Request request;
    request.method = "GET";
    request.target = url + "&comp=pagelist";
    return send(std::move(request)).response.body;
  }
  void end_upload(const std::string& name) {
    ASSERT_EQ(post(compute("disks/" + name + "/endGetAccess"), {}, "2022-07-02").status, 200);
  }
  std::string upload(const std::string& name, const std::string& bytes) {
    const std::string url = begin_upload(name, bytes.size());
    EXPECT_EQ(put_pages(url, 0, bytes).status, 201);
    end_upload(name);
    return compute("disks/" + name);
  }

  auth::SignInLimit limit_;
  std::unique_ptr<auth::TokenService> tokens_;
  std::unique_ptr<auth::UploadSigner> signer_;
  std::unique_ptr<Context> context_;
  http::Router router_;
  std::string token_;
};

}  // namespace atelier::api
