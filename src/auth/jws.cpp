#include "auth/jws.h"

#include <cjose/cjose.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "auth/base64url.h"
#include "base/log.h"

namespace atelier::auth {
namespace {

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Jwk = std::unique_ptr<cjose_jwk_t, Freed<cjose_jwk_release>>;
using Jws = std::unique_ptr<cjose_jws_t, Freed<cjose_jws_release>>;
using Header = std::unique_ptr<cjose_header_t, Freed<cjose_header_release>>;

constexpr unsigned kKeyBits = 2048;

std::unexpected<Error> internal(const char* doing, const cjose_err& error) {
  log::error("{}: {}", doing, error.message == nullptr ? "unknown" : error.message);
  return fail(Code::kInternal, "A token could not be signed. The server's log has the details.");
}

std::unexpected<Error> bad_token() { return fail(Code::kUnauthenticated, "The token is not valid."); }

// A number of the key as a JWK has it.
Result<std::string> parameter(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1)
    return fail(Code::kInternal, "The signing key is not an RSA key.");
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_clear_free(number);
  return to_base64url(bytes);
}

constexpr std::array kPublicParameters = {std::pair("n", OSSL_PKEY_PARAM_RSA_N), std::pair("e", OSSL_PKEY_PARAM_RSA_E)};
constexpr std::array kPrivateParameters = {
    std::pair("d", OSSL_PKEY_PARAM_RSA_D),          std::pair("p", OSSL_PKEY_PARAM_RSA_FACTOR1),
    std::pair("q", OSSL_PKEY_PARAM_RSA_FACTOR2),    std::pair("dp", OSSL_PKEY_PARAM_RSA_EXPONENT1),
    std::pair("dq", OSSL_PKEY_PARAM_RSA_EXPONENT2), std::pair("qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1),
};

// Whether the JSON text has a member twice or bytes that do not count: then writing it again gives another text.
bool is_plain(std::string_view text, const json::object& object) { return to_text(object) == text; }

}  // namespace

Result<std::string> make_private_key() {
  const Key key(EVP_RSA_gen(kKeyBits));
  const Memory memory(BIO_new(BIO_s_mem()));
  if (key == nullptr || memory == nullptr ||
      PEM_write_bio_PKCS8PrivateKey(memory.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return fail(Code::kInternal, "The signing key could not be made.");
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

struct SigningKeyPair::Handle {
  Jwk jwk;
};

SigningKeyPair::SigningKeyPair(std::string kid, json::object public_jwk, std::unique_ptr<Handle> handle)
    : kid_(std::move(kid)), public_jwk_(std::move(public_jwk)), handle_(std::move(handle)) {}
SigningKeyPair::~SigningKeyPair() = default;

Result<std::unique_ptr<SigningKeyPair>> SigningKeyPair::open(std::string kid, const std::string& private_key_pem) {
  const Memory memory(BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())));
  const Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return fail(Code::kDataLoss, "A signing key in the database is damaged.");

  json::object public_jwk = {{"kty", "RSA"}, {"use", "sig"}, {"alg", "RS256"}, {"kid", kid}};
  for (const auto& [name, id] : kPublicParameters) public_jwk[name] = TRY(parameter(key.get(), id));
  json::object private_jwk = public_jwk;
  for (const auto& [name, id] : kPrivateParameters) private_jwk[name] = TRY(parameter(key.get(), id));

  cjose_err error{};
  const std::string text = to_text(private_jwk);
  auto handle = std::make_unique<Handle>();
  handle->jwk.reset(cjose_jwk_import(text.data(), text.size(), &error));
  if (handle->jwk == nullptr) return internal("import a signing key", error);
  return std::unique_ptr<SigningKeyPair>(new SigningKeyPair(std::move(kid), std::move(public_jwk), std::move(handle)));
}

Result<std::string> SigningKeyPair::sign(std::string_view typ, const json::object& claims) const {
  cjose_err error{};
  const Header header(cjose_header_new(&error));
  const std::string type(typ);
  if (header == nullptr || !cjose_header_set(header.get(), CJOSE_HDR_ALG, CJOSE_HDR_ALG_RS256, &error) ||
      !cjose_header_set(header.get(), CJOSE_HDR_KID, kid_.c_str(), &error) ||
      !cjose_header_set(header.get(), "typ", type.c_str(), &error)) {
    return internal("make a token's header", error);
  }
  const std::string text = to_text(claims);
  const Jws jws(cjose_jws_sign(handle_->jwk.get(), header.get(), reinterpret_cast<const std::uint8_t*>(text.data()),
                               text.size(), &error));
  const char* token = nullptr;  // belongs to jws
  if (jws == nullptr || !cjose_jws_export(jws.get(), &token, &error)) return internal("sign a token", error);
  return std::string(token);
}

Result<std::string> SigningKeyPair::verify(const std::string& token) const {
  cjose_err error{};
  const Jws jws(cjose_jws_import(token.data(), token.size(), &error));
  std::uint8_t* text = nullptr;  // belongs to jws
  std::size_t size = 0;
  if (jws == nullptr || !cjose_jws_verify(jws.get(), handle_->jwk.get(), &error) ||
      !cjose_jws_get_plaintext(jws.get(), &text, &size, &error)) {
    return bad_token();
  }
  return std::string(reinterpret_cast<const char*>(text), size);
}

Result<TokenHeader> parse_header(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t last = token.rfind('.');
  if (first == std::string_view::npos || first == last) return bad_token();
  // The library reads padding and loose bits too; with it one token would have many spellings.
  const Result<std::string> text = from_base64url(token.substr(0, first));
  const bool is_strict =
      text && from_base64url(token.substr(first + 1, last - first - 1)) && from_base64url(token.substr(last + 1));
  if (!is_strict) return bad_token();
  const json::object header = TRY(parse_claims(*text));
  if (header.size() != 3 || string_at(header, "alg") != "RS256") return bad_token();
  TokenHeader parsed{.kid = string_at(header, "kid"), .typ = string_at(header, "typ")};
  if (parsed.kid.empty() || parsed.typ.empty()) return bad_token();
  return parsed;
}

Result<json::object> parse_claims(std::string_view text) {
  Result<json::object> object = parse_json_object(text, {.bytes_max = 64 * 1024, .depth_max = 8});
  if (!object || !is_plain(text, *object)) return bad_token();
  return object;
}

}  // namespace atelier::auth
