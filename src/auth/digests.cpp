#include "auth/digests.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "base/text.h"

namespace atelier::auth {
namespace {

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

std::string to_bytes(const Digest& digest) { return {digest.begin(), digest.end()}; }

const unsigned char* data_of(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

}  // namespace

std::string sha256(std::string_view bytes) {
  Digest digest{};
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return to_bytes(digest);
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  Digest digest{};
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data_of(bytes), bytes.size(), digest.data(),
             nullptr) != nullptr);
  return to_bytes(digest);
}

std::string hex_of(std::string_view bytes) {
  return to_hex(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace atelier::auth
