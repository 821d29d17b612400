#include "image/digest.h"

#include <gtest/gtest.h>

#include <vector>

#include "image/sha256_lanes.h"
#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

using Inputs = std::vector<std::span<const std::byte>>;

void expect_each_equal(const Inputs& inputs) {
  std::vector<Digest> digests(inputs.size());
  sha256_each(inputs, digests);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(digests[i].hex(), sha256(inputs[i]).hex()) << inputs[i].size() << " bytes, input " << i;
  }
}

TEST(DigestTest, GivesTheDigestOfTheStandardsExample) {
  // FIPS 180-4's example "abc", beside others so that the lanes are used.
  const std::string_view abc = "abc";
  const auto bytes = std::as_bytes(std::span(abc));
  const Inputs inputs{bytes, bytes, bytes, bytes};
  std::vector<Digest> digests(4);
  sha256_each(inputs, digests);
  for (const Digest& digest : digests) {
    EXPECT_EQ(digest.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
}

TEST(DigestTest, HashesManyAtOnceAsOneByOne) {
  if (!has_sha256_lanes()) GTEST_SKIP() << "This processor has no SHA instructions.";
  constexpr std::uint64_t kSeed = 20;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  Disk bytes(1 << 16);
  fill_random(random, bytes);
  // Every length around the padding's borders, at every alignment.
  Inputs short_ones;
  for (std::size_t length = 0; length < 200; ++length)
    short_ones.push_back(std::span(bytes).subspan(length % 17, length));
  expect_each_equal(short_ones);
  for (int round = 0; round < 400; ++round) {
    Inputs inputs(random_below(random, 12));
    for (auto& input : inputs) {
      const std::size_t length = random_below(random, 1 + random_below(random, 12000));
      input = std::span(bytes).subspan(random_below(random, bytes.size() - length), length);
    }
    expect_each_equal(inputs);
  }
}

TEST(DigestTest, HashesALongInputBesideManyShortOnes) {
  Random random(21);
  Disk bytes(1 << 20);
  fill_random(random, bytes);
  Inputs inputs{std::span(bytes).first(5), bytes};
  for (std::size_t at = 0; at < bytes.size(); at += 8192) inputs.push_back(std::span(bytes).subspan(at, 8192));
  expect_each_equal(inputs);
}

TEST(DigestTest, HashesNothing) { expect_each_equal({}); }

}  // namespace
}  // namespace atelier::image
