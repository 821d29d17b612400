#include "http/router.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/log.h"

namespace atelier::http {
namespace {

Request request(std::string method, std::string target) {
  Request made;
  made.method = std::move(method);
  made.target = std::move(target);
  return made;
}

Handler says(const std::string& words) {
  return [words](Request& asked) {
    std::string body = words;
    for (const auto& [name, value] : asked.params) body += " " + name + "=" + value;
    return Response::text(200, body);
  };
}

Router sample() {
  Router router;
  router.add({.method = "GET", .pattern = "/subscriptions/{s}/resourceGroups/{rg}", .handler = says("group")});
  router.add({.method = "PUT", .pattern = "/subscriptions/{s}/resourcegroups/{rg}", .handler = says("put")});
  router.add({.method = "GET", .pattern = "/subscriptions/{s}/locations", .handler = says("locations")});
  router.add({.method = "GET", .pattern = "/subscriptions/{s}/{other}", .handler = says("other")});
  router.add({.method = "POST", .pattern = "/subscriptions/{s}/start", .handler = says("start")});
  router.add({.method = "GET", .pattern = "/files/{rest...}", .handler = says("file")});
  return router;
}

Response ask(const Router& router, const std::string& method, const std::string& target) {
  Request asked = request(method, target);
  EXPECT_TRUE(Router::parse_target(asked).has_value()) << target;
  return router.dispatch(asked);
}

TEST(Router, LiteralsMatchInAnyCaseAndParametersKeepTheirs) {
  EXPECT_EQ(ask(sample(), "GET", "/Subscriptions/ABC/RESOURCEGROUPS/My%20Group").body, "group rg=My Group s=ABC");
}

TEST(Router, ALiteralWinsOverAParameterAndOneSlashAtTheEndIsNothing) {
  EXPECT_EQ(ask(sample(), "GET", "/subscriptions/a/locations/").body, "locations s=a");
  EXPECT_EQ(ask(sample(), "GET", "/subscriptions/a/elsewhere").body, "other other=elsewhere s=a");
}

TEST(Router, AParameterStandsInWhenTheLiteralLacksTheMethod) {
  EXPECT_EQ(ask(sample(), "GET", "/subscriptions/a/start").body, "other other=start s=a");
}

TEST(Router, TheRestTakesAllSegments) {
  EXPECT_EQ(ask(sample(), "GET", "/files/a/b%2Bc/d").body, "file rest=a/b+c/d");
  EXPECT_EQ(ask(sample(), "GET", "/files").status, 404);
}

TEST(Router, UnknownPathsAre404AndUnknownMethods405WithAllow) {
  EXPECT_EQ(ask(sample(), "GET", "/nothing").status, 404);
  const Response refused = ask(sample(), "DELETE", "/subscriptions/a/resourceGroups/b");
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.header("allow"), "GET, HEAD, PUT");
}

TEST(Router, HeadIsAnsweredByGetUnlessItHasARouteOfItsOwn) {
  EXPECT_EQ(ask(sample(), "HEAD", "/subscriptions/a/locations").status, 200);
  Router router = sample();
  router.add({.method = "HEAD", .pattern = "/subscriptions/{s}/locations", .handler = [](Request&) {
                return Response::empty(204);
              }});
  EXPECT_EQ(ask(router, "HEAD", "/subscriptions/a/locations").status, 204);
}

TEST(Router, RefusesTargetsThatAreNoPath) {
  for (const char* target : {"", "x", "*", "/a%2fb", "/a%5Cb", "/a%00", "/a%0a", "/%zz", "/%4", "/a/../b", "/%2e%2e/b",
                             "/./a", "/a%ff", "/%c0%af", "/a?b=%zz", "/a?%00=1", "/a#b", "/%ed%a0%80"}) {
    Request asked = request("GET", target);
    EXPECT_FALSE(Router::parse_target(asked).has_value()) << target;
  }
}

TEST(Router, ReadsQueriesWithEscapesAndPluses) {
  Request asked = request("GET", "http://h:1/a?Api-Version=1&$filter=status+eq%20'x%26y'&flag&&e=");
  ASSERT_TRUE(Router::parse_target(asked).has_value());
  EXPECT_EQ(asked.path, "/a");
  EXPECT_EQ(asked.query_value("api-version"), "1");
  EXPECT_EQ(asked.query_value("$FILTER"), "status eq 'x&y'");
  EXPECT_EQ(asked.query_value("flag"), "");
  EXPECT_EQ(asked.query_value("e"), "");
  EXPECT_FALSE(asked.query_value("none").has_value());
}

TEST(Router, RefusalsTakeTheShapeThatWasSet) {
  Router router = sample();
  router.set_refuse([](const Request& asked, const Refusal& refusal) {
    return Response::text(refusal.status, asked.path + " " + refusal.code);
  });
  EXPECT_EQ(ask(router, "GET", "/nothing").body, "/nothing NotFound");
}

TEST(Router, TheFallbackAnswersOnlyUnknownPathsAndMayDecline) {
  Router router = sample();
  router.set_fallback([](Request& asked) -> std::optional<Response> {
    if (asked.path == "/") return Response::text(200, "portal");
    return std::nullopt;
  });
  EXPECT_EQ(ask(router, "GET", "/").body, "portal");
  EXPECT_EQ(ask(router, "GET", "/other").status, 404);
  EXPECT_EQ(ask(router, "POST", "/").status, 404);
  EXPECT_EQ(ask(router, "DELETE", "/subscriptions/a/locations").status, 405);
}

TEST(Router, AHandlerThatThrowsIs500WithoutItsWords) {
  log::set_level(log::Level::kError);
  Router router;
  router.add({.method = "GET", .pattern = "/", .handler = [](Request&) -> Response {
                throw std::runtime_error("/secret/path");
              }});
  const Response refused = ask(router, "GET", "/");
  EXPECT_EQ(refused.status, 500);
  EXPECT_EQ(refused.body.find("secret"), std::string::npos);
}

TEST(Router, ListsItsRoutesForTheDocument) {
  const Router router = sample();
  ASSERT_EQ(router.routes().size(), 6u);
  EXPECT_EQ(router.routes()[1]->pattern, "/subscriptions/{s}/resourcegroups/{rg}");
}

TEST(Response, HeaderValuesCannotBreakOutOfTheirLine) {
  Response response = Response::empty(200);
  response.set_header("Location", "/a\r\nSet-Cookie: x");
  EXPECT_EQ(response.header("location"), "/aSet-Cookie: x");
}

}  // namespace
}  // namespace atelier::http
