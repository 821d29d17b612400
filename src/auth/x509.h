// For the sources of this folder only: keys (ECDSA P-256) and certificates.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

using EVP_PKEY = struct evp_pkey_st;
using X509 = struct x509_st;

namespace atelier::auth {

class PrivateKey {
 public:
  static Result<PrivateKey> make();
  // kFailedPrecondition when it is no private key in PEM.
  static Result<PrivateKey> parse(const std::string& pem);
  Result<std::string> to_pem() const;
  // SHA-256 of the public key.
  std::string fingerprint() const;
  EVP_PKEY* get() const { return key_.get(); }

 private:
  explicit PrivateKey(EVP_PKEY* key);
  std::shared_ptr<EVP_PKEY> key_;  // shared: the library counts references, and nobody changes it
};

class Certificate {
 public:
  static Result<Certificate> make_ca(const PrivateKey& key, std::chrono::days lifetime);
  // `subjects`: "DNS:localhost", "IP:127.0.0.1", …
  static Result<Certificate> make_server(const PrivateKey& key, const Certificate& ca, const PrivateKey& ca_key,
                                         const std::vector<std::string>& subjects, std::chrono::days lifetime);
  // The first one of the text. kFailedPrecondition when there is none.
  static Result<Certificate> parse(const std::string& pem);
  Result<std::string> to_pem() const;

  bool is_of_key(const PrivateKey& key) const;
  bool is_signed_by(const PrivateKey& ca_key) const;
  // It has begun, and ends later than in `time`.
  bool holds_for(std::chrono::days time) const;
  bool names_all(const std::vector<std::string>& subjects) const;
  X509* get() const { return certificate_.get(); }

 private:
  explicit Certificate(X509* certificate);
  std::shared_ptr<X509> certificate_;  // shared: as above
};

}  // namespace atelier::auth
