#include "auth/tokens.h"

#include <cjose/cjose.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <thread>

#include "auth/base64url.h"
#include "auth/digests.h"
#include "auth/jws.h"
#include "base/text.h"
#include "db/database.h"
#include "db/database_test_parts.h"
#include "db/signing_keys.h"

namespace atelier::auth {
namespace {

constexpr auto kBase = "https://lab.example:8443";
constexpr auto kTenant = "11111111-2222-3333-4444-555555555555";

std::int64_t seconds_from_now(std::int64_t seconds) {
  return std::chrono::floor<std::chrono::seconds>(now()).time_since_epoch().count() + seconds;
}

class TokensTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = db::Database::open({.url = url_}).value();
    tokens_ = create();
    const auto keys = database_->read([](db::Transaction& t) { return db::list_signing_keys(t); }).value();
    ASSERT_EQ(keys.size(), 1U);
    pem_ = keys[0].private_key;
    pair_ = SigningKeyPair::open(keys[0].kid, pem_).value();
    alice_ = create_user(*database_, {.name = "Alice", .password = "correct", .tenant_id = kTenant}).value();
  }

  std::unique_ptr<TokenService> create() {
    return TokenService::create(*database_, {.base_url = kBase, .tenant_id = kTenant}).value();
  }
  std::string issue() { return tokens_->issue(alice_, std::string(kBase) + "/", std::chrono::hours(1)).value(); }

  // The claims of a good token, to be spoiled.
  json::object good_claims() {
    const std::string token = issue();
    const std::size_t dot = token.find('.');
    const std::string text = from_base64url(token.substr(dot + 1, token.rfind('.') - dot - 1)).value();
    return parse_json_object(text).value();
  }
  std::string sign(const json::object& claims) { return pair_->sign("at+jwt", claims).value(); }

  // A token with any header and claims, with an RS256 signature by the real key over exactly these bytes: what is
  // refused here is refused for its header, not for its signature.
  std::string token_with_header(const std::string& header, const std::string& claims) {
    const std::string input = fmt::format("{}.{}", to_base64url(header), to_base64url(claims));
    return fmt::format("{}.{}", input, to_base64url(rs256(input)));
  }
  std::string rs256(const std::string& input) {
    BIO* memory = BIO_new_mem_buf(pem_.data(), static_cast<int>(pem_.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(memory, nullptr, nullptr, nullptr);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    std::string signature(256, '\0');
    std::size_t size = signature.size();
    EXPECT_EQ(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key), 1);
    EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                             reinterpret_cast<const unsigned char*>(input.data()), input.size()),
              1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    BIO_free(memory);
    return signature;
  }

  void expect_refused(const std::string& token, const char* reason = "InvalidAuthenticationToken") {
    const Result<Principal> principal = tokens_->verify(token);
    ASSERT_FALSE(principal.has_value()) << token.substr(0, 200);
    EXPECT_EQ(principal.error().code(), Code::kUnauthenticated);
    EXPECT_EQ(principal.error().reason(), reason);
  }

  db::testing::TemporaryFolder folder_;
  std::string url_ = db::testing::new_database_url(db::Database::Backend::kSqlite, folder_);
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<TokenService> tokens_;
  std::string pem_;
  std::unique_ptr<SigningKeyPair> pair_;
  Principal alice_;
};

TEST_F(TokensTest, AnIssuedTokenTellsWhoItIs) {
  const Principal principal = tokens_->verify(issue()).value();
  EXPECT_EQ(principal.id, alice_.id);
  EXPECT_EQ(principal.kind, "User");
  EXPECT_EQ(principal.name, "Alice");
  EXPECT_EQ(principal.tenant_id, kTenant);

  const CreatedClient client = create_client(*database_, {.display_name = "ci", .tenant_id = kTenant}).value();
  const std::string token =
      tokens_->issue(client.principal, "https://management.azure.com", std::chrono::hours(1)).value();
  const Principal app = tokens_->verify(token).value();
  EXPECT_EQ(app.kind, "ServicePrincipal");
  EXPECT_EQ(app.id, client.principal.id);
  EXPECT_EQ(app.client_id, client.principal.client_id);
}

TEST_F(TokensTest, EveryAudienceThatClientsAskForIsAccepted) {
  for (const char* audience :
       {"https://lab.example:8443", "https://lab.example:8443/", "https://lab.example:8443//",
        "https://management.azure.com", "https://management.azure.com/", "https://management.core.windows.net/"}) {
    EXPECT_TRUE(tokens_->verify(tokens_->issue(alice_, audience, std::chrono::hours(1)).value()).has_value())
        << audience;
  }
}

TEST_F(TokensTest, AScopeNamesItsAudience) {
  EXPECT_EQ(tokens_->audience_of_scope("https://lab.example:8443//.default"), "https://lab.example:8443/");
  EXPECT_EQ(tokens_->audience_of_scope("https://lab.example:8443/.default openid  profile offline_access"),
            "https://lab.example:8443");
  EXPECT_EQ(tokens_->audience_of_scope("https://management.azure.com/.default"), "https://management.azure.com");
  EXPECT_EQ(tokens_->audience_of_scope("https://management.core.windows.net//.default"),
            "https://management.core.windows.net/");
  EXPECT_EQ(tokens_->audience_of_scope(""), "https://lab.example:8443/");
  EXPECT_EQ(tokens_->audience_of_scope("openid"), "https://lab.example:8443/");
  EXPECT_EQ(tokens_->audience_of_scope("https://graph.example/.default").error().reason(), "invalid_scope");
}

TEST_F(TokensTest, TheKeyIsKeptAndOthersFindOneThatIsNew) {
  const std::string token = issue();
  EXPECT_TRUE(create()->verify(token).has_value());
  // Another process rotates the key; we look for it when we first see its name.
  const auto newer = SigningKeyPair::open("newer", make_private_key().value()).value();
  const std::string pem = make_private_key().value();
  const auto rotated = SigningKeyPair::open("rotated", pem).value();
  ASSERT_TRUE(database_
                  ->write([&](db::Transaction& t) {
                    return db::insert_signing_key(t, {.kid = "rotated", .private_key = pem, .created_at = now()});
                  })
                  .has_value());
  EXPECT_TRUE(tokens_->verify(rotated->sign("at+jwt", good_claims()).value()).has_value());
  expect_refused(newer->sign("at+jwt", good_claims()).value());
  EXPECT_TRUE(tokens_->verify(token).has_value());
  EXPECT_EQ(tokens_->jwks().at("keys").as_array().size(), 2U);
}

TEST_F(TokensTest, ThePublicKeySetHoldsNothingPrivateAndChecksOurTokens) {
  const json::object set = tokens_->jwks();
  const json::object& key = set.at("keys").at(0).as_object();
  EXPECT_EQ(key.size(), 6U);
  EXPECT_EQ(key.at("alg"), "RS256");
  EXPECT_FALSE(key.contains("d"));
  cjose_err error{};
  const std::string text = to_text(key);
  cjose_jwk_t* jwk = cjose_jwk_import(text.data(), text.size(), &error);
  const std::string token = issue();
  cjose_jws_t* jws = cjose_jws_import(token.data(), token.size(), &error);
  EXPECT_TRUE(cjose_jws_verify(jws, jwk, &error));
  cjose_jws_release(jws);
  cjose_jwk_release(jwk);
}

TEST_F(TokensTest, WhatTheOtherTestsSpoilHoldsWhenItIsNotSpoilt) {
  EXPECT_TRUE(tokens_->verify(sign(good_claims())).has_value());
  const std::string header = fmt::format(R"({{"alg":"RS256","kid":"{}","typ":"at+jwt"}})", pair_->kid());
  EXPECT_TRUE(tokens_->verify(token_with_header(header, to_text(good_claims()))).has_value());
}

TEST_F(TokensTest, WrongClaimsAreRefused) {
  const auto with = [&](const char* name, json::value value) {
    json::object claims = good_claims();
    claims[name] = std::move(value);
    return sign(claims);
  };
  expect_refused(with("iss", "https://evil.example/adfs"));
  expect_refused(with("iss", json::string(std::string(kBase) + "/adfs/")));
  expect_refused(with("aud", "https://graph.example"));
  expect_refused(with("aud", json::string(std::string(kBase) + ".evil.example")));
  expect_refused(with("aud", json::array{std::string(kBase)}));
  expect_refused(with("tid", "another-tenant"));
  expect_refused(with("oid", ""));
  expect_refused(with("oid", 7));
  expect_refused(with("idtyp", "root"));
  expect_refused(with("nbf", seconds_from_now(3600)));
  expect_refused(with("nbf", "0"));
  expect_refused(with("exp", "9999999999"));
  expect_refused(with("exp", 1e300));
  for (const char* name : {"iss", "aud", "tid", "oid", "idtyp", "nbf", "exp"}) {
    json::object claims = good_claims();
    claims.erase(name);
    expect_refused(sign(claims));
  }
}

TEST_F(TokensTest, TimeIsCheckedWithASmallAllowance) {
  const auto until = [&](std::int64_t seconds) {
    json::object claims = good_claims();
    claims["exp"] = seconds_from_now(seconds);
    return sign(claims);
  };
  EXPECT_TRUE(tokens_->verify(until(-60)).has_value());
  expect_refused(until(-130), "ExpiredAuthenticationToken");
  expect_refused(tokens_->issue(alice_, kBase, std::chrono::hours(-1)).value(), "ExpiredAuthenticationToken");
}

TEST_F(TokensTest, AnIdTokenIsNoAccessToken) {
  expect_refused(
      tokens_->issue_id_token(alice_, "04b07795-8ddb-461a-bbee-02f9e1bf7b46", std::chrono::hours(1)).value());
  expect_refused(tokens_->issue_id_token(alice_, kBase, std::chrono::hours(1)).value());
  expect_refused(pair_->sign("JWT", good_claims()).value());
}

TEST_F(TokensTest, UnsignedTokensAndOtherAlgorithmsAreRefused) {
  const std::string claims = to_text(good_claims());
  const std::string kid = pair_->kid();
  for (const char* algorithm : {"none", "None", "NONE", "", "rs256", "PS256", "ES256", "RS512"}) {
    const std::string header = fmt::format(R"({{"alg":"{}","kid":"{}","typ":"at+jwt"}})", algorithm, kid);
    expect_refused(fmt::format("{}.{}.", to_base64url(header), to_base64url(claims)));
    expect_refused(token_with_header(header, claims));
  }
  // The public key as the secret of a symmetric signature: in each form that a careless verifier may have it in.
  const json::object set = tokens_->jwks();
  const json::object& key = set.at("keys").at(0).as_object();
  const std::string header = fmt::format(R"({{"alg":"HS256","kid":"{}","typ":"at+jwt"}})", kid);
  for (const std::string& secret : {to_text(key), string_at(key, "n"), from_base64url(string_at(key, "n")).value()}) {
    const std::string input = fmt::format("{}.{}", to_base64url(header), to_base64url(claims));
    expect_refused(fmt::format("{}.{}", input, to_base64url(hmac_sha256(secret, input))));
  }
}

TEST_F(TokensTest, AHeaderWithAnythingElseIsRefused) {
  const std::string claims = to_text(good_claims());
  const std::string kid = pair_->kid();
  const auto refuse = [&](const std::string& members) {
    expect_refused(
        token_with_header(fmt::format(R"({{"alg":"RS256","kid":"{}","typ":"at+jwt"{}}})", kid, members), claims));
  };
  refuse(R"(,"zip":"DEF")");
  refuse(R"(,"crit":["exp"])");
  refuse(R"(,"jku":"https://evil.example/keys")");
  refuse(R"(,"x5u":"https://evil.example/cert")");
  refuse(R"(,"alg":"none")");
  refuse(R"(,"kid":"other")");
  for (const char* bad_kid : {"../../../../dev/null", "' or 1=1 --", "https://evil.example/key", "", "unknown"}) {
    expect_refused(token_with_header(fmt::format(R"({{"alg":"RS256","kid":"{}","typ":"at+jwt"}})", bad_kid), claims));
  }
  expect_refused(token_with_header(R"({"alg":"RS256","typ":"at+jwt"})", claims));
  expect_refused(token_with_header(R"({"alg":"RS256","kid":7,"typ":"at+jwt"})", claims));
  expect_refused(token_with_header("[]", claims));
  expect_refused(token_with_header("\xff\xfe", claims));
}

TEST_F(TokensTest, AnEmbeddedKeyIsNotUsed) {
  const std::string pem = make_private_key().value();
  const auto own = SigningKeyPair::open(pair_->kid(), pem).value();
  expect_refused(own->sign("at+jwt", good_claims()).value());
  const std::string jwk = to_text(own->public_jwk());
  const std::string claims = to_text(good_claims());
  const std::string with_key =
      fmt::format(R"({{"alg":"RS256","kid":"{}","typ":"at+jwt","jwk":{}}})", pair_->kid(), jwk);
  expect_refused(token_with_header(with_key, claims));
}

TEST_F(TokensTest, ChangedCutAndDoubledTokensAreRefused) {
  const std::string token = issue();
  const std::size_t first = token.find('.');
  const std::size_t second = token.rfind('.');
  const std::string header = token.substr(0, first);
  const std::string signature = token.substr(second + 1);

  json::object admin = good_claims();
  admin["oid"] = "admin";
  expect_refused(fmt::format("{}.{}.{}", header, to_base64url(to_text(admin)), signature));
  // A claim twice: whichever of them a reader takes, the token is not ours.
  std::string twice = to_text(good_claims());
  twice.insert(1, R"("oid":"admin",)");
  expect_refused(token_with_header(from_base64url(header).value(), twice));
  EXPECT_FALSE(parse_claims(R"({"a":1,"a":2})").has_value());

  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("..."), token.substr(0, second),
        token.substr(0, second + 1), token + ".", token + "." + signature, " " + token, token + " ", token + "=",
        token.substr(0, token.size() - 1), header + "." + header + "." + signature, std::string(10'000, '.'),
        std::string("a.b\0.c", 6), "Bearer " + token}) {
    expect_refused(bad);
  }
  for (std::size_t i = 0; i < token.size(); i += 7) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    if (changed != token) expect_refused(changed);
  }
}

TEST_F(TokensTest, AHugeTokenIsRefusedBeforeItIsLookedAt) {
  json::object claims = good_claims();
  claims["name"] = std::string(1 << 20, 'x');
  expect_refused(sign(claims));
  expect_refused(std::string(1 << 20, 'A'));
}

TEST_F(TokensTest, ARefreshTokenWorksOnceAndAStolenOneEndsItsFamily) {
  const std::string first = tokens_->issue_refresh_token(alice_, "app").value();
  EXPECT_EQ(tokens_->redeem_refresh_token(first, "other app").error().code(), Code::kUnauthenticated);
  const auto second = tokens_->redeem_refresh_token(first, "app").value();
  EXPECT_EQ(second.principal.id, alice_.id);
  const auto third = tokens_->redeem_refresh_token(second.refresh_token, "app").value();
  EXPECT_EQ(tokens_->redeem_refresh_token(first, "app").error().code(), Code::kUnauthenticated);
  EXPECT_EQ(tokens_->redeem_refresh_token(third.refresh_token, "app").error().code(), Code::kUnauthenticated);
  EXPECT_EQ(tokens_->redeem_refresh_token("made up", "app").error().code(), Code::kUnauthenticated);
}

TEST_F(TokensTest, ANewPasswordEndsRefreshTokens) {
  const std::string token = tokens_->issue_refresh_token(alice_, "app").value();
  ASSERT_TRUE(set_user_password(*database_, "alice", "another").has_value());
  EXPECT_FALSE(tokens_->redeem_refresh_token(token, "app").has_value());
}

TEST_F(TokensTest, ManyThreadsMayIssueAndVerify) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 20; ++n) EXPECT_TRUE(tokens_->verify(issue()).has_value());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace atelier::auth
