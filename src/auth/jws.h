// For the sources of this folder only: one RSA key pair that signs and checks tokens in compact form (RFC 7515).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace atelier::auth {

// A new private key: RSA, 2048 bits, PEM (PKCS #8). Takes a part of a second.
Result<std::string> make_private_key();

// Any thread may use it.
class SigningKeyPair {
 public:
  static Result<std::unique_ptr<SigningKeyPair>> open(std::string kid, const std::string& private_key_pem);
  ~SigningKeyPair();
  SigningKeyPair(const SigningKeyPair&) = delete;
  SigningKeyPair& operator=(const SigningKeyPair&) = delete;

  const std::string& kid() const { return kid_; }
  // As a member of a key set: kty, use, alg, kid, n, e.
  const json::object& public_jwk() const { return public_jwk_; }

  // A token with the header {"alg":"RS256","kid":…,"typ":typ}.
  Result<std::string> sign(std::string_view typ, const json::object& claims) const;

  // The bytes that were signed. kUnauthenticated unless the signature is this key's. Only for tokens whose header says
  // RS256 (see parse_header): the library would take the algorithm from there.
  Result<std::string> verify(const std::string& token) const;

 private:
  struct Handle;
  SigningKeyPair(std::string kid, json::object public_jwk, std::unique_ptr<Handle> handle);

  const std::string kid_;
  const json::object public_jwk_;
  const std::unique_ptr<Handle> handle_;
};

struct TokenHeader {
  std::string kid;
  std::string typ;
};
// The header of a token as sign() makes them. kUnauthenticated when it says another algorithm or anything else at all:
// an embedded key, a compression, an extension, a member twice.
Result<TokenHeader> parse_header(std::string_view token);

// A JSON object of a token. kUnauthenticated when it is none, or has a member twice.
Result<json::object> parse_claims(std::string_view text);

}  // namespace atelier::auth
