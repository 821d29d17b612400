// Signing in and the front door: tokens, discovery, api-versions, what every answer carries.
#include <gtest/gtest.h>

#include "api/api_fixture.h"
#include "api/form.h"
#include "api/odata_filter.h"

namespace atelier::api {
namespace {

class SignInTest : public ApiFixture {
 protected:
  Answer token(const std::string& form, const std::string& path = "/adfs/oauth2/token/") {
    http::Request request;
    request.method = "POST";
    request.target = path;
    request.remote_address = "127.0.0.1:50000";
    request.body = form;
    return send(std::move(request));
  }
  Answer open(const std::string& target) {
    http::Request request;
    request.method = "GET";
    request.target = target;
    return send(std::move(request));
  }
  Answer with_token(const std::string& token, const std::string& target = "/subscriptions?api-version=2022-12-01") {
    http::Request request;
    request.method = "GET";
    request.target = target;
    request.headers = {{"Authorization", token}};
    return send(std::move(request));
  }
};

TEST_F(SignInTest, AUserGetsAllThatMsalWants) {
  const Answer answer = token(
      "grant_type=password&username=admin&password=S3cret-words&client_id=04b07795&scope=https%3A%2F%2F127.0.0.1%"
      "3A8443%2F%2F.default");
  ASSERT_EQ(answer.status, 200) << answer.response.body;
  EXPECT_EQ(answer.at("token_type"), "Bearer");
  EXPECT_EQ(int_at(answer.body, "expires_in"), 3599);
  for (const char* field : {"access_token", "id_token", "refresh_token", "client_info"}) {
    EXPECT_FALSE(answer.at(field).empty()) << field;
  }
  EXPECT_EQ(answer.header("Cache-Control"), "no-store");
  EXPECT_EQ(with_token("Bearer " + answer.at("access_token")).status, 200);
  EXPECT_EQ(with_token("bearer " + answer.at("access_token")).status, 200);
  EXPECT_EQ(with_token("Bearer " + answer.at("id_token")).status, 401);
  const Answer again = token("grant_type=refresh_token&client_id=04b07795&refresh_token=" + answer.at("refresh_token"));
  ASSERT_EQ(again.status, 200) << again.response.body;
  EXPECT_EQ(with_token("Bearer " + again.at("access_token")).status, 200);
}

TEST_F(SignInTest, AServicePrincipalSignsInByBothStylesOfPath) {
  const auto client =
      auth::create_client(
          *database_,
          {.display_name = "ci", .tenant_id = kTenant, .client_id = {}, .secret = {}, .secret_expires_at = {}})
          .value();
  const std::string form = "grant_type=client_credentials&client_id=" + client.principal.client_id +
                           "&client_secret=" + client.secret + "&scope=https%3A%2F%2Fmanagement.azure.com%2F.default";
  EXPECT_EQ(token(form).status, 200);
  EXPECT_EQ(token(form, "/some-tenant/oauth2/v2.0/token?client-request-id=1").status, 200);
  const Answer wrong = token("grant_type=client_credentials&client_secret=x&client_id=" + client.principal.client_id);
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.at("error"), "invalid_client");
  EXPECT_FALSE(wrong.at("error_description").empty());
}

TEST_F(SignInTest, EachMistakeHasItsOwnWord) {
  EXPECT_EQ(token("").at("error"), "invalid_request");
  EXPECT_EQ(token("grant_type=password&username=admin").at("error"), "invalid_request");
  EXPECT_EQ(token("grant_type=magic").at("error"), "unsupported_grant_type");
  EXPECT_EQ(token("grant_type=password&username=admin&password=wrong").at("error"), "invalid_grant");
  EXPECT_EQ(token("grant_type=password&username=admin&password=S3cret-words&scope=https%3A%2F%2Fexample.com%2F.default")
                .at("error"),
            "invalid_scope");
}

TEST_F(SignInTest, GuessingIsSlowedDown) {
  int status = 0;
  for (int i = 0; i < 20 && status != 429; ++i)
    status = token("grant_type=password&username=admin&password=wrong").status;
  EXPECT_EQ(status, 429);
}

TEST_F(SignInTest, ARequestWithoutAGoodTokenIsTurnedAwayWithAChallenge) {
  for (const char* header : {"", "Bearer", "Bearer ", "Bearer nonsense", "Basic YWRtaW46YQ=="}) {
    const Answer answer = with_token(header);
    EXPECT_EQ(answer.status, 401) << header;
    EXPECT_FALSE(answer.code().empty());
    EXPECT_TRUE(answer.header("WWW-Authenticate").starts_with("Bearer authorization_uri=")) << header;
  }
}

TEST_F(SignInTest, TheApiVersionMustBeThereAndKnown) {
  const std::string bearer = "Bearer " + token_;
  EXPECT_EQ(with_token(bearer, "/subscriptions").code(), "MissingApiVersionParameter");
  EXPECT_EQ(with_token(bearer, "/subscriptions?api-version=1999-01-01").code(), "InvalidApiVersionParameter");
  EXPECT_EQ(with_token(bearer, "/subscriptions?API-Version=2019-11-01").status, 200);
}

TEST_F(SignInTest, ClientsFindTheirWayWithoutAToken) {
  const Answer configuration = open("/adfs/.well-known/openid-configuration");
  EXPECT_EQ(configuration.at("token_endpoint"), std::string(kBase) + "/adfs/oauth2/token/");
  EXPECT_EQ(configuration.at("issuer"), std::string(kBase) + "/adfs");
  EXPECT_EQ(open("/adfs/discovery/keys").body.at("keys").as_array().size(), 1U);
  EXPECT_EQ(open("/metadata/endpoints?api-version=2015-01-01").at("authentication.loginEndpoint"),
            std::string(kBase) + "/adfs");
  const std::string clouds = open("/metadata/endpoints?api-version=2019-05-01").response.body;
  EXPECT_TRUE(clouds.starts_with("[{")) << clouds;
  EXPECT_EQ(open("/metadata/endpoints?api-version=2022-09-01").at("resourceManager"), kBase);
}

TEST_F(SignInTest, AnswersEchoTheClientsRequestId) {
  http::Request request;
  request.method = "GET";
  request.target = "/subscriptions?api-version=2019-11-01";
  request.id = "r1";
  request.headers = {{"Authorization", "Bearer " + token_}, {"X-MS-Client-Request-Id", "c1"}};
  const Answer answer = send(std::move(request));
  EXPECT_EQ(answer.header("x-ms-client-request-id"), "c1");
  EXPECT_EQ(answer.header("x-ms-correlation-request-id"), "r1");
}

TEST_F(SignInTest, TheSubscriptionShowsItsRegionsAndProviders) {
  const std::string subscription = "/subscriptions/" + std::string(kSubscription);
  EXPECT_EQ(get("/subscriptions", "2019-11-01").body.at("value").at(0).at("id").as_string(), subscription);
  EXPECT_EQ(get(subscription, "2022-12-01").at("displayName"), "Atelier");
  EXPECT_EQ(get("/subscriptions/other", "2022-12-01").code(), "SubscriptionNotFound");
  EXPECT_EQ(get(subscription + "/locations", "2019-11-01").body.at("value").as_array().size(), 3U);
  EXPECT_EQ(get(subscription + "/providers", "2021-04-01").body.at("value").as_array().size(), 3U);
  EXPECT_EQ(get(subscription + "/providers/microsoft.compute", "2021-04-01").at("registrationState"), "Registered");
  EXPECT_EQ(get("/tenants", "2019-11-01").body.at("value").at(0).at("tenantId").as_string(), kTenant);
}

TEST(FormTest, DecodesFieldsAndForgivesBadEscapes) {
  const auto fields = parse_form("a=1%202&b=x+y&c=%zz&d&=e&a=2%20");
  EXPECT_EQ(fields.at("a"), "2 ");
  EXPECT_EQ(fields.at("b"), "x y");
  EXPECT_EQ(fields.at("c"), "%zz");
  EXPECT_EQ(fields.at("d"), "");
}

TEST(FilterTest, UnderstandsTheFewFiltersThatClientsSend) {
  EXPECT_EQ(filter_value("resourceGroup eq 'rg' and name eq 'it''s'", "Name").value(), "it's");
  EXPECT_EQ(filter_value("resourceGroup eq 'rg'", "name").value(), "");
  EXPECT_EQ(filter_value("", "name").value(), "");
  for (const char* bad :
       {"name", "name eq", "name ne 'x'", "name eq 'x", "name eq 'x' or a eq 'b'", "name eq 'x' and"}) {
    EXPECT_FALSE(filter_value(bad, "name")) << bad;
  }
}

}  // namespace
}  // namespace atelier::api
