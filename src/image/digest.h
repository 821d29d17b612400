// SHA-256 names: of chunks (of their plain bytes), of packs (of the file), of segments and roots.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::image {

// A SHA-256 digest. The all-zero value is no digest of anything; a root uses it for a segment that is one hole.
struct Digest {
  std::array<std::uint8_t, 32> bytes{};

  // 64 digits in lower case.
  std::string hex() const;
  // Fails with kInvalidArgument unless `hex` is 64 hexadecimal digits.
  static Result<Digest> parse(std::string_view hex);
  bool is_zero() const { return *this == Digest{}; }

  auto operator<=>(const Digest&) const = default;
};

// For unordered containers: a digest is its own hash.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const {
    std::size_t value = 0;
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};

// The digest of `bytes`. Any thread; each thread keeps one context of its own.
Digest sha256(std::span<const std::byte> bytes);

// digests[i] becomes the digest of inputs[i]; both have the same length. Many inputs at once are hashed nearly twice as
// fast on one core as one after the other (sha256_lanes.h): pass a batch of chunks, and a pack with its chunks, in one
// call. Where the processor has no SHA instructions it is the same as sha256() on each. Any thread.
void sha256_each(std::span<const std::span<const std::byte>> inputs, std::span<Digest> digests);

// The digest of bytes that come in pieces. One thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  // The digest of everything so far; begins anew.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace atelier::image
