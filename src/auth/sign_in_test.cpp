#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "auth/digests.h"
#include "auth/passwords.h"
#include "auth/principals.h"
#include "auth/sas.h"
#include "auth/sign_in_limit.h"
#include "db/database.h"
#include "db/database_test_parts.h"

namespace atelier::auth {
namespace {

TEST(Passwords, AHashMatchesItsPasswordOnly) {
  const std::string hash = hash_password("pässwörd 漢字").value();
  EXPECT_TRUE(hash.starts_with("$y$"));
  EXPECT_TRUE(password_matches("pässwörd 漢字", hash));
  EXPECT_FALSE(password_matches("pässwörd 漢", hash));
  EXPECT_FALSE(password_matches("", hash));
  EXPECT_NE(hash, hash_password("pässwörd 漢字").value());
}

TEST(Passwords, AGuestsHashIsWhatEveryLinuxUnderstands) {
  const std::string hash = guest_password_hash("secret").value();
  EXPECT_TRUE(hash.starts_with("$6$"));
  EXPECT_TRUE(password_matches("secret", hash));
}

TEST(Passwords, WhatCannotBeAPasswordIsRefusedAndNeverMatches) {
  for (const std::string& bad : {std::string(), std::string(600, 'x'), std::string("a\0b", 3)}) {
    EXPECT_EQ(hash_password(bad).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(guest_password_hash(bad).error().code(), Code::kInvalidArgument);
    EXPECT_FALSE(password_matches(bad, hash_password("a").value()));
  }
  for (const char* hash : {"", "x", "*", "!", "$y$", "$9$abc$def", "plain"}) {
    EXPECT_FALSE(password_matches("x", hash)) << hash;
  }
}

class SignInTest : public ::testing::TestWithParam<db::Database::Backend> {
 protected:
  db::testing::TemporaryFolder folder_;
  std::unique_ptr<db::Database> database_ =
      db::Database::open({.url = db::testing::new_database_url(GetParam(), folder_)}).value();
};

TEST_P(SignInTest, AUserSignsInWithNameAndPassword) {
  const Principal made = create_user(*database_, {.name = "Alice", .password = "pw", .tenant_id = "t"}).value();
  const Principal principal = sign_in_user(*database_, "aLICE", "pw").value();
  EXPECT_EQ(principal.id, made.id);
  EXPECT_EQ(principal.name, "Alice");
  EXPECT_EQ(principal.kind, "User");
  const Error wrong = sign_in_user(*database_, "alice", "PW").error();
  const Error unknown = sign_in_user(*database_, "bob", "pw").error();
  EXPECT_EQ(wrong.code(), Code::kUnauthenticated);
  EXPECT_EQ(unknown.code(), Code::kUnauthenticated);
  EXPECT_EQ(wrong.message(), unknown.message());
  EXPECT_FALSE(sign_in_user(*database_, std::string("alice\0", 6), "pw").has_value());
  EXPECT_FALSE(sign_in_client(*database_, "alice", "pw").has_value());

  EXPECT_EQ(create_user(*database_, {.name = "ALICE", .password = "x"}).error().code(), Code::kAlreadyExists);
  ASSERT_TRUE(set_user_password(*database_, "alice", "new").has_value());
  EXPECT_FALSE(sign_in_user(*database_, "alice", "pw").has_value());
  EXPECT_TRUE(sign_in_user(*database_, "alice", "new").has_value());
  EXPECT_EQ(set_user_password(*database_, "nobody", "x").error().code(), Code::kNotFound);
}

TEST_P(SignInTest, AUserThatCannotBeIsRefused) {
  for (const std::string& name : {std::string(), std::string(200, 'n'), std::string("a\nb"), std::string("a\0b", 3)}) {
    EXPECT_EQ(create_user(*database_, {.name = name, .password = "x"}).error().code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(create_user(*database_, {.name = "a", .password = ""}).error().code(), Code::kInvalidArgument);
}

TEST_P(SignInTest, AClientSignsInWithItsSecretUntilThatExpires) {
  const CreatedClient made = create_client(*database_, {.display_name = "ci", .tenant_id = "t"}).value();
  const Principal principal = sign_in_client(*database_, made.principal.client_id, made.secret).value();
  EXPECT_EQ(principal.kind, "ServicePrincipal");
  EXPECT_EQ(principal.client_id, made.principal.client_id);
  EXPECT_FALSE(sign_in_client(*database_, made.principal.client_id, made.secret + "x").has_value());
  EXPECT_FALSE(sign_in_client(*database_, made.principal.id, made.secret).has_value());
  const CreatedClient old =
      create_client(*database_, {.display_name = "old", .secret_expires_at = now() - std::chrono::seconds(1)}).value();
  EXPECT_FALSE(sign_in_client(*database_, old.principal.client_id, old.secret).has_value());
}

TEST_P(SignInTest, AnUploadUrlIsForItsDiskUntilItExpires) {
  const auto signer = UploadSigner::open(*database_).value();
  const std::string query = signer.sign("disk-A", now() + std::chrono::hours(1));
  const std::string expiry = query.substr(3, query.find('&') - 3);
  const std::string signature = query.substr(query.find("sig=") + 4);
  EXPECT_TRUE(signer.verify("DISK-a", expiry, signature).has_value());
  EXPECT_TRUE(UploadSigner::open(*database_)->verify("disk-a", expiry, signature).has_value());
  const std::string later = std::to_string(std::stoll(expiry) + 1);
  EXPECT_EQ(signer.verify("disk-b", expiry, signature).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(signer.verify("disk-a", later, signature).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(signer.verify("disk-a", expiry, signature.substr(1)).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(signer.verify("disk-a", expiry, "").error().code(), Code::kPermissionDenied);
  EXPECT_EQ(signer.verify("disk-a", "", signature).error().code(), Code::kPermissionDenied);

  const std::string old = signer.sign("disk-a", now() - std::chrono::seconds(1));
  const Status expired = signer.verify("disk-a", old.substr(3, old.find('&') - 3), old.substr(old.find("sig=") + 4));
  EXPECT_EQ(expired.error().code(), Code::kPermissionDenied);
  EXPECT_NE(expired.error().message().find("expired"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Backends, SignInTest,
                         ::testing::Values(db::Database::Backend::kSqlite, db::Database::Backend::kPostgresql),
                         db::testing::backend_name);

Result<Principal> wrong() { return fail(Code::kUnauthenticated, "wrong"); }
Result<Principal> right() { return Principal{.id = "a"}; }

TEST(SignInLimit, TooManyFailuresCloseOneNameFromOneAddressOnly) {
  SignInLimit limit({.failures_max = 3, .window = std::chrono::hours(1), .entries_max = 100});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(limit.attempt("alice", "10.0.0.1", wrong).error().code(), Code::kUnauthenticated);
  }
  const auto refused = limit.attempt("ALICE", "10.0.0.1", right);
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(refused.error().reason(), "TooManyRequests");
  EXPECT_TRUE(limit.attempt("alice", "10.0.0.2", right).has_value());
  EXPECT_TRUE(limit.attempt("bob", "10.0.0.1", right).has_value());
}

TEST(SignInLimit, ASuccessForgetsAndOtherFailuresDoNotCount) {
  SignInLimit limit({.failures_max = 2, .window = std::chrono::hours(1), .entries_max = 100});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(limit.attempt("a", "x", wrong).error().code(), Code::kUnauthenticated);
    EXPECT_TRUE(limit.attempt("a", "x", right).has_value());
  }
  const auto broken = []() -> Result<Principal> { return fail(Code::kUnavailable, "database"); };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.attempt("a", "x", broken).error().code(), Code::kUnavailable);
  EXPECT_TRUE(limit.attempt("a", "x", right).has_value());
  EXPECT_EQ(limit.entries(), 0U);
}

TEST(SignInLimit, FailuresAreForgottenAfterTheirWindow) {
  SignInLimit limit({.failures_max = 1, .window = std::chrono::seconds(0), .entries_max = 100});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.attempt("a", "x", wrong).error().code(), Code::kUnauthenticated);
}

TEST(SignInLimit, TheTableStaysBounded) {
  SignInLimit limit({.failures_max = 1, .window = std::chrono::hours(1), .entries_max = 50});
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(limit.attempt("user" + std::to_string(i), "x", wrong).has_value());
  EXPECT_LE(limit.entries(), 51U);
}

TEST(SignInLimit, ManyAtOnceGetNoMoreTriesThanOneAfterTheOther) {
  SignInLimit limit({.failures_max = 5, .window = std::chrono::hours(1), .entries_max = 100});
  std::atomic<int> tried = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&] {
      EXPECT_FALSE(limit
                       .attempt("a", "x",
                                [&] {
                                  ++tried;
                                  std::this_thread::sleep_for(std::chrono::milliseconds(20));
                                  return wrong();
                                })
                       .has_value());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(tried, 5);
}

TEST(Digests, AreWhatOthersCompute) {
  EXPECT_EQ(hex_of(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231, test case 2.
  EXPECT_EQ(hex_of(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_TRUE(equal_secrets("ab", "ab"));
  EXPECT_FALSE(equal_secrets("ab", "ac"));
  EXPECT_FALSE(equal_secrets("ab", "abc"));
}

}  // namespace
}  // namespace atelier::auth
