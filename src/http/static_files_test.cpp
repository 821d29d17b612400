#include "http/static_files.h"

#include <gtest/gtest.h>

#include "http/raw_client.h"
#include "http/router.h"

namespace atelier::http {
namespace {

class StaticFilesTest : public testing::Test {
 protected:
  StaticFilesTest() {
    folder_.write("secret.txt", "secret");
    folder_.write("web/index.html", "<!doctype html>portal");
    folder_.write("web/assets/app-1a2b.js", "code");
    folder_.write("web/font.woff2", "font");
    std::filesystem::create_symlink(folder_.path() / "secret.txt", folder_.path() / "web/link.txt");
  }

  std::optional<Response> get(const std::string& target, Headers headers = {}, const std::string& method = "GET") {
    Request request;
    request.method = method;
    request.target = target;
    request.headers = std::move(headers);
    if (!Router::parse_target(request)) return std::nullopt;
    return files_.answer(request);
  }

  TestFolder folder_;
  StaticFiles files_{{.folder = folder_.path() / "web"}};
};

const Headers kBrowser = {{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}};

std::string content(const Response& response) {
  std::string bytes(response.source ? response.source->length : 0, '\0');
  if (!response.source) return {};
  EXPECT_EQ(response.source->read(std::as_writable_bytes(std::span(bytes))), bytes.size());
  return bytes;
}

TEST_F(StaticFilesTest, HashedAssetsMayBeKeptForEverAndOthersAreAskedForAgain) {
  const auto script = get("/assets/app-1a2b.js");
  ASSERT_TRUE(script);
  EXPECT_EQ(content(*script), "code");
  EXPECT_EQ(script->header("Content-Type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(script->header("Cache-Control"), "public, max-age=31536000, immutable");
  const auto font = get("/font.woff2");
  ASSERT_TRUE(font);
  EXPECT_EQ(font->header("Content-Type"), "font/woff2");
  EXPECT_EQ(font->header("Cache-Control"), "no-cache");
}

TEST_F(StaticFilesTest, AKnownETagIsAnsweredWith304) {
  const auto first = get("/font.woff2");
  ASSERT_TRUE(first);
  const auto second = get("/font.woff2", {{"If-None-Match", std::string(first->header("ETag"))}});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->status, 304);
  EXPECT_FALSE(second->source);
  folder_.write("web/font.woff2", "another font");
  EXPECT_EQ(get("/font.woff2", {{"If-None-Match", std::string(first->header("ETag"))}})->status, 200);
}

TEST_F(StaticFilesTest, PagesOfThePortalGetIndexHtmlWithItsPolicy) {
  for (const char* page : {"/", "/labs/english", "/operations/1"}) {
    const auto answer = get(page, kBrowser);
    ASSERT_TRUE(answer) << page;
    EXPECT_EQ(content(*answer), "<!doctype html>portal");
    EXPECT_TRUE(answer->header("Content-Security-Policy").starts_with("default-src 'self';"));
    EXPECT_EQ(answer->header("Cache-Control"), "no-cache");
  }
}

TEST_F(StaticFilesTest, TheApisPathsAndMissingAssetsAndOtherMethodsGetNothing) {
  EXPECT_FALSE(get("/Subscriptions/unknown", kBrowser));
  EXPECT_FALSE(get("/assets/gone.js", kBrowser));
  EXPECT_FALSE(get("/labs/english"));
  EXPECT_FALSE(get("/", kBrowser, "POST"));
}

TEST_F(StaticFilesTest, NothingOutsideTheFolderIsServed) {
  for (const char* target : {"/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/assets/../../secret.txt",
                             "/link.txt", "//../secret.txt", "/..\\secret.txt", "/assets"}) {
    EXPECT_FALSE(get(target)) << target;
  }
}

}  // namespace
}  // namespace atelier::http
