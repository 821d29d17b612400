#include "image/digest.h"

#include <openssl/evp.h>

#include "base/check.h"
#include "base/text.h"
#include "image/sha256_lanes.h"

namespace atelier::image {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

// Fetched once: looking the algorithm up costs more than hashing a small chunk.
const EVP_MD* algorithm() {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  CHECK(fetched != nullptr);
  return fetched;
}

Context new_context() {
  Context context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  return context;
}

void begin(EVP_MD_CTX* context) { CHECK(EVP_DigestInit_ex2(context, algorithm(), nullptr) == 1); }

Digest end(EVP_MD_CTX* context) {
  Digest digest;
  unsigned length = 0;
  CHECK(EVP_DigestFinal_ex(context, digest.bytes.data(), &length) == 1 && length == digest.bytes.size());
  return digest;
}

}  // namespace

std::string Digest::hex() const { return to_hex(bytes); }

Result<Digest> Digest::parse(std::string_view hex) {
  Digest digest;
  if (hex.size() != 64 || !from_hex(hex, digest.bytes)) {
    return fail(Code::kInvalidArgument, "This is no digest: it must have 64 hexadecimal digits.");
  }
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) {
  thread_local const Context context = new_context();
  begin(context.get());
  CHECK(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1);
  return end(context.get());
}

void sha256_each(std::span<const std::span<const std::byte>> inputs, std::span<Digest> digests) {
  CHECK(inputs.size() == digests.size());
  // OpenSSL is as fast for a single input.
  if (inputs.size() > 1 && has_sha256_lanes()) return sha256_in_lanes(inputs, digests);
  for (std::size_t i = 0; i < inputs.size(); ++i) digests[i] = sha256(inputs[i]);
}

struct Sha256::State {
  Context context = new_context();
};

Sha256::Sha256() : state_(std::make_unique<State>()) { begin(state_->context.get()); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  const Digest digest = end(state_->context.get());
  begin(state_->context.get());
  return digest;
}

}  // namespace atelier::image
