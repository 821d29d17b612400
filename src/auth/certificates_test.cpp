#include "auth/certificates.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "auth/base64url.h"
#include "auth/private_files.h"
#include "base/text.h"
#include "db/database_test_parts.h"

namespace atelier::auth {
namespace {

// What a command prints, and whether it succeeded.
struct Output {
  int status = -1;
  std::string text;
};
Output run(const std::string& command) {
  Output output;
  FILE* pipe = ::popen((command + " 2>&1 < /dev/null").c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.text.append(buffer.data(), got);
  output.status = ::pclose(pipe);
  return output;
}

class CertificatesTest : public ::testing::Test {
 protected:
  Result<CertificateFiles> ensure(const CertificateOptions& options = {}) {
    return ensure_certificates(folder_.path(), options);
  }
  std::string text(const char* name) { return read_file(folder_.path() / name).value().value_or("absent"); }
  Output verify(const std::string& options) {
    return run(fmt::format("openssl verify -x509_strict -CAfile {0}/ca.pem {1} {0}/server.pem", folder_.path().string(),
                           options));
  }

  db::testing::TemporaryFolder folder_;
};

TEST_F(CertificatesTest, ClientsThatTrustTheCaAcceptTheServerUnderItsNames) {
  const CertificateFiles files = ensure({.names = {"Lab.Example", "192.0.2.7", "2001:db8::7"}}).value();
  EXPECT_EQ(files.ca, folder_.path() / "ca.pem");
  for (const char* name : {"localhost", "lab.example"}) {
    const Output output = verify(fmt::format("-purpose sslserver -verify_hostname {}", name));
    EXPECT_EQ(output.status, 0) << output.text;
  }
  for (const char* address : {"127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"}) {
    const Output output = verify(fmt::format("-purpose sslserver -verify_ip {}", address));
    EXPECT_EQ(output.status, 0) << output.text;
  }
  EXPECT_NE(verify("-verify_hostname other.example").status, 0);
  EXPECT_NE(verify("-verify_ip 192.0.2.8").status, 0);
  const Output server = run(fmt::format("openssl x509 -noout -text -in {}", files.certificate.string()));
  EXPECT_NE(server.text.find("NIST CURVE: P-256"), std::string::npos);
  EXPECT_NE(server.text.find("CA:FALSE"), std::string::npos);
}

TEST_F(CertificatesTest, KeysAreForTheirOwnerOnlyAndNothingElseIsLeft) {
  ASSERT_TRUE(ensure().has_value());
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    struct stat info{};
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    const bool is_key = entry.path().filename().string().ends_with("key.pem");
    EXPECT_EQ(info.st_mode & 0777, is_key ? 0600U : 0644U) << entry.path();
    ++count;
  }
  EXPECT_EQ(count, 4U);
}

TEST_F(CertificatesTest, LaterStartsKeepThem) {
  ASSERT_TRUE(ensure({.names = {"lab.example"}}).has_value());
  const std::string ca = text("ca.pem");
  const std::string server = text("server.pem");
  ASSERT_TRUE(ensure({.names = {"lab.example"}}).has_value());
  EXPECT_EQ(text("ca.pem"), ca);
  EXPECT_EQ(text("server.pem"), server);
}

TEST_F(CertificatesTest, ANewNameOrANearEndRenewsTheServersOnly) {
  ASSERT_TRUE(ensure().has_value());
  const std::string ca = text("ca.pem");
  const std::string key = text("server-key.pem");
  const std::string first = text("server.pem");
  ASSERT_TRUE(ensure({.names = {"lab.example"}}).has_value());
  const std::string second = text("server.pem");
  EXPECT_NE(second, first);
  EXPECT_EQ(verify("-verify_hostname lab.example").status, 0);
  ASSERT_TRUE(ensure({.renew_before = std::chrono::days(500)}).has_value());
  EXPECT_NE(text("server.pem"), second);
  EXPECT_EQ(text("ca.pem"), ca);
  EXPECT_EQ(text("server-key.pem"), key);
}

TEST_F(CertificatesTest, AServerCertificateNeverLivesLongerThanClientsTake) {
  ASSERT_TRUE(ensure({.server_lifetime = std::chrono::days(5000)}).has_value());
  const auto check = [&](int days) {
    return run(fmt::format("openssl x509 -noout -checkend {} -in {}/server.pem", days * 86400, folder_.path().string()))
        .status;
  };
  EXPECT_EQ(check(820), 0);
  EXPECT_NE(check(826), 0);
}

TEST_F(CertificatesTest, AnEndingCaIsRenewedWithItsKeySoThatTheServersStillHolds) {
  ASSERT_TRUE(ensure({.ca_lifetime = std::chrono::days(10), .renew_before = std::chrono::days(1)}).has_value());
  const std::string ca = text("ca.pem");
  ASSERT_TRUE(ensure().has_value());
  EXPECT_NE(text("ca.pem"), ca);
  EXPECT_EQ(verify("-verify_hostname localhost").status, 0);
}

TEST_F(CertificatesTest, ForeignOrDamagedFilesAreNamedAndKept) {
  ASSERT_TRUE(ensure().has_value());
  for (const char* name : {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem"}) {
    const std::string good = text(name);
    std::ofstream(folder_.path() / name) << "somebody's notes\n";
    const auto damaged = ensure();
    ASSERT_FALSE(damaged.has_value()) << name;
    EXPECT_EQ(damaged.error().code(), Code::kFailedPrecondition);
    EXPECT_NE(damaged.error().message().find(name), std::string::npos) << damaged.error().message();
    EXPECT_EQ(text(name), "somebody's notes\n");
    std::ofstream(folder_.path() / name) << good;
  }
  ASSERT_TRUE(ensure().has_value());

  const db::testing::TemporaryFolder other;
  ASSERT_TRUE(ensure_certificates(other.path(), {}).has_value());
  std::filesystem::copy_file(other.path() / "server.pem", folder_.path() / "server.pem",
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy_file(other.path() / "server-key.pem", folder_.path() / "server-key.pem",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(ensure().error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(text("server.pem"), read_file(other.path() / "server.pem").value());
}

TEST_F(CertificatesTest, ACrashBetweenTwoFilesIsMended) {
  ASSERT_TRUE(ensure().has_value());
  std::filesystem::remove(folder_.path() / "server.pem");
  ASSERT_TRUE(ensure().has_value());
  EXPECT_EQ(verify("").status, 0);
  for (const char* name : {"server.pem", "server-key.pem", "ca.pem"}) std::filesystem::remove(folder_.path() / name);
  ASSERT_TRUE(ensure().has_value());
  EXPECT_EQ(verify("").status, 0);
}

TEST_F(CertificatesTest, NamesThatWouldSmuggleOthersInAreRefused) {
  for (const char* name : {"a,DNS:evil.example", "", "a b", "日本", "email:x@y"}) {
    EXPECT_EQ(ensure({.names = {name}}).error().code(), Code::kInvalidArgument) << name;
  }
}

TEST(Base64Url, GoesThereAndBackAndIsStrict) {
  // RFC 4648, section 10, without padding.
  EXPECT_EQ(to_base64url("foobar"), "Zm9vYmFy");
  EXPECT_EQ(to_base64url("fooba"), "Zm9vYmE");
  EXPECT_EQ(to_base64url("foob"), "Zm9vYg");
  EXPECT_EQ(to_base64url(""), "");
  for (std::size_t size = 0; size < 70; ++size) {
    const std::string bytes = random_bytes(size);
    EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
  }
  for (const char* bad : {"A", "Zg==", "Zh", "Z+", "Z/", "Zm9v YmFy", "Zm9vY"}) {
    EXPECT_FALSE(from_base64url(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace atelier::auth
