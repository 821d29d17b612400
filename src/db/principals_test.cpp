#include "db/principals.h"

#include <gtest/gtest.h>

#include "db/database_test_parts.h"
#include "db/signing_keys.h"

namespace atelier::db {
namespace {

class PrincipalsTest : public ::testing::TestWithParam<Database::Backend> {
 protected:
  testing::TemporaryFolder folder_;
  std::unique_ptr<Database> database_ = Database::open({.url = testing::new_database_url(GetParam(), folder_)}).value();
};

PrincipalRow alice() {
  return {.id = "0a",
          .kind = "User",
          .name = "Alice",
          .sign_in_key = "user:Alice",
          .client_id = "",
          .tenant_id = "t",
          .secret_hash = "$y$1",
          .secret_expires_at = std::nullopt};
}

TEST_P(PrincipalsTest, APrincipalIsFoundByIdAndByNameInAnyCase) {
  PrincipalRow client{.id = "0b",
                      .kind = "ServicePrincipal",
                      .name = "ci",
                      .sign_in_key = "client:C1",
                      .client_id = "C1",
                      .tenant_id = "t",
                      .secret_hash = "$y$2",
                      .secret_expires_at = TimePoint(std::chrono::milliseconds(1234567))};
  const Status status = database_->write([&](Transaction& t) -> Status {
    TRY(insert_principal(t, alice()));
    TRY(insert_principal(t, client));
    PrincipalRow again = alice();
    again.id = "0c";
    again.sign_in_key = "USER:alice";
    EXPECT_EQ(insert_principal(t, again).error().code(), Code::kAlreadyExists);
    TRY(update_secret(t, "0A", "$y$3"));
    EXPECT_EQ(update_secret(t, "none", "$y$3").error().code(), Code::kNotFound);
    EXPECT_EQ(TRY(find_principal_by_sign_in(t, "user:ALICE"))->secret_hash, "$y$3");
    EXPECT_EQ(TRY(find_principal_by_sign_in(t, "user:ALICE"))->secret_expires_at, std::nullopt);
    EXPECT_EQ(TRY(find_principal_by_id(t, "0B"))->secret_expires_at, client.secret_expires_at);
    EXPECT_EQ(TRY(find_principal_by_sign_in(t, "user:bob")), std::nullopt);
    return {};
  });
  EXPECT_TRUE(status.has_value()) << status.error().message();
}

TEST_P(PrincipalsTest, RefreshTokensEndWithTheirFamilyTheirTimeAndTheirOwner) {
  const auto time = now();
  const auto token = [&](std::string hash, std::string family, std::chrono::seconds left) {
    return RefreshTokenRow{.token_hash = std::move(hash),
                           .family = std::move(family),
                           .principal_id = "0a",
                           .client_id = "c",
                           .expires_at = time + left,
                           .used = false};
  };
  const Status status = database_->write([&](Transaction& t) -> Status {
    TRY(insert_principal(t, alice()));
    TRY(insert_refresh_token(t, token("h1", "f1", std::chrono::seconds(60))));
    TRY(insert_refresh_token(t, token("h2", "f1", std::chrono::seconds(60))));
    TRY(insert_refresh_token(t, token("h3", "f2", std::chrono::seconds(60))));
    TRY(insert_refresh_token(t, token("h4", "f3", std::chrono::seconds(-60))));
    TRY(mark_refresh_token_used(t, "h1"));
    EXPECT_TRUE(TRY(find_refresh_token(t, "h1"))->used);
    EXPECT_FALSE(TRY(find_refresh_token(t, "h2"))->used);
    TRY(erase_refresh_token_family(t, "f1"));
    EXPECT_EQ(TRY(find_refresh_token(t, "h2")), std::nullopt);
    TRY(erase_expired_refresh_tokens(t, time));
    EXPECT_EQ(TRY(find_refresh_token(t, "h4")), std::nullopt);
    EXPECT_NE(TRY(find_refresh_token(t, "h3")), std::nullopt);
    TRY(erase_refresh_tokens_of(t, "0a"));
    EXPECT_EQ(TRY(find_refresh_token(t, "h3")), std::nullopt);
    return {};
  });
  EXPECT_TRUE(status.has_value()) << status.error().message();
}

TEST_P(PrincipalsTest, ARefreshTokenNeedsAnOwner) {
  const Status status = database_->write([&](Transaction& t) {
    return insert_refresh_token(t, {.token_hash = "h",
                                    .family = "f",
                                    .principal_id = "nobody",
                                    .client_id = "c",
                                    .expires_at = now(),
                                    .used = false});
  });
  EXPECT_EQ(status.error().code(), Code::kConflict);
}

TEST_P(PrincipalsTest, SigningKeysAreListedNewestFirst) {
  const auto keys = database_->write([](Transaction& t) -> Result<std::vector<SigningKey>> {
    TRY(insert_signing_key(t, {.kid = "a", .private_key = "PEM\na\n", .created_at = TimePoint(std::chrono::days(1))}));
    TRY(insert_signing_key(t, {.kid = "b", .private_key = "PEM\nb\n", .created_at = TimePoint(std::chrono::days(2))}));
    return list_signing_keys(t);
  });
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ((*keys)[0].kid, "b");
  EXPECT_EQ((*keys)[1].private_key, "PEM\na\n");
  EXPECT_EQ((*keys)[1].created_at, TimePoint(std::chrono::days(1)));
}

INSTANTIATE_TEST_SUITE_P(Backends, PrincipalsTest,
                         ::testing::Values(Database::Backend::kSqlite, Database::Backend::kPostgresql),
                         testing::backend_name);

}  // namespace
}  // namespace atelier::db
