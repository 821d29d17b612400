#include "auth/x509.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "auth/digests.h"
#include "base/check.h"
#include "base/text.h"

namespace atelier::auth {
namespace {

using Memory = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

Memory read_only_memory(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all};
}

std::unexpected<Error> failed() { return fail(Code::kInternal, "A certificate could not be made."); }

template <typename Write>
Result<std::string> to_text_with(Write&& write) {
  const Memory memory(BIO_new(BIO_s_mem()), BIO_free_all);
  if (memory == nullptr || write(memory.get()) != 1) return failed();
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

// 159 random bits, never negative and never zero.
bool set_random_serial(X509* certificate) {
  std::string bytes = random_bytes(20);
  bytes[0] = static_cast<char>((bytes[0] & 0x3f) | 0x40);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr),
      BN_free);
  return number != nullptr && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()), X509_EXTENSION_free);
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_common_name(X509_NAME* name, const std::string& value) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.c_str()),
                                    -1, -1, 0) == 1;
}

// Version 3, a serial number, validity from an hour ago (clocks differ), the key. Null when the library fails.
X509* begin_certificate(const PrivateKey& key, std::chrono::days lifetime) {
  std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_random_serial(certificate.get()) ||
      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600) == nullptr ||
      X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(lifetime.count()), -3600, nullptr) ==
          nullptr ||
      X509_set_pubkey(certificate.get(), key.get()) != 1) {
    return nullptr;
  }
  return certificate.release();
}

}  // namespace

PrivateKey::PrivateKey(EVP_PKEY* key) : key_(key, EVP_PKEY_free) {}

Result<PrivateKey> PrivateKey::make() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  if (key == nullptr) return failed();
  return PrivateKey(key);
}

Result<PrivateKey> PrivateKey::parse(const std::string& pem) {
  const Memory memory = read_only_memory(pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr);
  if (key == nullptr) return fail(Code::kFailedPrecondition, "The file holds no private key in PEM form.");
  return PrivateKey(key);
}

Result<std::string> PrivateKey::to_pem() const {
  return to_text_with([&](BIO* memory) {
    return PEM_write_bio_PKCS8PrivateKey(memory, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string PrivateKey::fingerprint() const {
  unsigned char* data = nullptr;
  const int size = i2d_PUBKEY(key_.get(), &data);
  CHECK(size > 0);
  std::string digest = sha256(std::string_view(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)));
  OPENSSL_free(data);
  return digest;
}

Certificate::Certificate(X509* certificate) : certificate_(certificate, X509_free) {}

Result<Certificate> Certificate::make_ca(const PrivateKey& key, std::chrono::days lifetime) {
  const Certificate made(begin_certificate(key, lifetime));
  if (made.get() == nullptr) return failed();
  // A name of its own, for a client may trust several; the same when it is renewed, for what it signed names it.
  const std::string name = fmt::format("Atelier local CA {}", hex_of(key.fingerprint()).substr(0, 8));
  X509_NAME* subject = X509_get_subject_name(made.get());
  const bool ok = set_common_name(subject, name) && X509_set_issuer_name(made.get(), subject) == 1 &&
                  add_extension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                  add_extension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign") &&
                  add_extension(made.get(), made.get(), NID_subject_key_identifier, "hash") &&
                  X509_sign(made.get(), key.get(), EVP_sha256()) > 0;
  if (!ok) return failed();
  return made;
}

Result<Certificate> Certificate::make_server(const PrivateKey& key, const Certificate& ca, const PrivateKey& ca_key,
                                             const std::vector<std::string>& subjects, std::chrono::days lifetime) {
  const Certificate made(begin_certificate(key, lifetime));
  if (made.get() == nullptr) return failed();
  std::string names;
  for (const std::string& subject : subjects) names += (names.empty() ? "" : ",") + subject;
  const bool ok = set_common_name(X509_get_subject_name(made.get()), "Atelier") &&
                  X509_set_issuer_name(made.get(), X509_get_subject_name(ca.get())) == 1 &&
                  add_extension(made.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                  add_extension(made.get(), ca.get(), NID_key_usage, "critical,digitalSignature") &&
                  add_extension(made.get(), ca.get(), NID_ext_key_usage, "serverAuth") &&
                  add_extension(made.get(), ca.get(), NID_subject_key_identifier, "hash") &&
                  add_extension(made.get(), ca.get(), NID_authority_key_identifier, "keyid:always") &&
                  add_extension(made.get(), ca.get(), NID_subject_alt_name, names) &&
                  X509_sign(made.get(), ca_key.get(), EVP_sha256()) > 0;
  if (!ok) return failed();
  return made;
}

Result<Certificate> Certificate::parse(const std::string& pem) {
  const Memory memory = read_only_memory(pem);
  X509* certificate = PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr);
  if (certificate == nullptr) return fail(Code::kFailedPrecondition, "The file holds no certificate in PEM form.");
  return Certificate(certificate);
}

Result<std::string> Certificate::to_pem() const {
  return to_text_with([&](BIO* memory) { return PEM_write_bio_X509(memory, certificate_.get()); });
}

bool Certificate::is_of_key(const PrivateKey& key) const {
  return X509_check_private_key(certificate_.get(), key.get()) == 1;
}

bool Certificate::is_signed_by(const PrivateKey& ca_key) const {
  return X509_verify(certificate_.get(), ca_key.get()) == 1;
}

bool Certificate::holds_for(std::chrono::days time) const {
  std::time_t limit = std::time(nullptr) + std::chrono::seconds(time).count();
  return X509_cmp_current_time(X509_get0_notBefore(certificate_.get())) < 0 &&
         X509_cmp_time(X509_get0_notAfter(certificate_.get()), &limit) > 0;
}

bool Certificate::names_all(const std::vector<std::string>& subjects) const {
  for (const std::string& subject : subjects) {
    const std::size_t colon = subject.find(':');
    const std::string name = subject.substr(colon + 1);
    const bool named = subject.starts_with("IP:")
                           ? X509_check_ip_asc(certificate_.get(), name.c_str(), 0) == 1
                           : X509_check_host(certificate_.get(), name.c_str(), name.size(), 0, nullptr) == 1;
    if (!named) return false;
  }
  return true;
}

}  // namespace atelier::auth
