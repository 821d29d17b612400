#include "image/sha256_lanes.h"

#include "base/check.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

// The compiler may use these instructions in functions so marked, and nowhere else.
#define ATELIER_SHA __attribute__((target("sha,sse4.1,ssse3")))

namespace atelier::image {
namespace {

constexpr std::size_t kLanes = 3;
constexpr std::size_t kBlockBytes = 64;

// FIPS 180-4, 4.2.2.
alignas(64) constexpr std::array<std::uint32_t, 64> kRoundConstants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The eight words in the order that the instructions want: A, B, E, F and C, D, G, H, highest first.
struct alignas(16) State {
  std::array<std::uint32_t, 4> feba{0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667};
  std::array<std::uint32_t, 4> hgdc{0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372};
};

// An input on its way: its whole blocks where they lie, then the last bytes with the padding in `tail`.
struct Lane {
  State state;
  const std::byte* at = nullptr;
  std::size_t blocks = 0;       // from `at` on
  std::size_t tail_blocks = 0;  // that follow them; 0 when `at` is in the tail
  std::size_t input = 0;
  alignas(16) std::array<std::byte, 2 * kBlockBytes> tail;
};

void begin(Lane& lane, std::size_t number, std::span<const std::byte> bytes) {
  lane.state = {};
  lane.input = number;
  lane.at = bytes.data();
  lane.blocks = bytes.size() / kBlockBytes;
  const std::span<const std::byte> rest = bytes.subspan(lane.blocks * kBlockBytes);
  lane.tail_blocks = rest.size() + 9 <= kBlockBytes ? 1 : 2;
  lane.tail.fill(std::byte{0});
  std::ranges::copy(rest, lane.tail.begin());
  lane.tail[rest.size()] = std::byte{0x80};
  const std::uint64_t bits = __builtin_bswap64(std::uint64_t{bytes.size()} * 8);
  std::memcpy(lane.tail.data() + lane.tail_blocks * kBlockBytes - sizeof bits, &bits, sizeof bits);
}

// To the tail when the input's own blocks are done. False when there is nothing left.
bool go_on(Lane& lane) {
  if (lane.blocks > 0) return true;
  if (lane.tail_blocks == 0) return false;
  lane.at = lane.tail.data();
  lane.blocks = std::exchange(lane.tail_blocks, 0);
  return true;
}

Digest digest_of(const State& state) {
  const auto& [feba, hgdc] = state;
  const std::array<std::uint32_t, 8> words{feba[3], feba[2], hgdc[3], hgdc[2], feba[1], feba[0], hgdc[1], hgdc[0]};
  Digest digest;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint32_t big_endian = __builtin_bswap32(words[i]);
    std::memcpy(digest.bytes.data() + i * sizeof big_endian, &big_endian, sizeof big_endian);
  }
  return digest;
}

// Takes `blocks` blocks of each lane into its state. The loops over lanes are innermost, so that neighbouring
// instructions belong to different lanes and do not wait for each other.
template <std::size_t kCount>
ATELIER_SHA void compress(const std::array<Lane*, kLanes>& lanes, std::size_t blocks) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i feba[kCount], hgdc[kCount];
  const std::byte* at[kCount];
  for (std::size_t i = 0; i < kCount; ++i) {
    feba[i] = _mm_load_si128(reinterpret_cast<const __m128i*>(lanes[i]->state.feba.data()));
    hgdc[i] = _mm_load_si128(reinterpret_cast<const __m128i*>(lanes[i]->state.hgdc.data()));
    at[i] = lanes[i]->at;
  }
  for (std::size_t block = 0; block < blocks; ++block) {
    __m128i feba_before[kCount], hgdc_before[kCount], words[kCount][4];
#pragma GCC unroll 3
    for (std::size_t i = 0; i < kCount; ++i) {
      feba_before[i] = feba[i];
      hgdc_before[i] = hgdc[i];
    }
#pragma GCC unroll 16
    for (std::size_t four = 0; four < 16; ++four) {  // four rounds each
      const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(kRoundConstants.data() + 4 * four));
      __m128i sum[kCount];
#pragma GCC unroll 3
      for (std::size_t i = 0; i < kCount; ++i) {
        __m128i& next = words[i][four % 4];
        const __m128i last = words[i][(four + 3) % 4];
        if (four < 4) {
          next = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at[i] + 16 * four)), swap);
        } else {
          const __m128i near = _mm_sha256msg1_epu32(next, words[i][(four + 1) % 4]);
          const __m128i far = _mm_alignr_epi8(last, words[i][(four + 2) % 4], 4);
          next = _mm_sha256msg2_epu32(_mm_add_epi32(near, far), last);
        }
        sum[i] = _mm_add_epi32(next, constants);
      }
#pragma GCC unroll 3
      for (std::size_t i = 0; i < kCount; ++i) hgdc[i] = _mm_sha256rnds2_epu32(hgdc[i], feba[i], sum[i]);
#pragma GCC unroll 3
      for (std::size_t i = 0; i < kCount; ++i) {
        feba[i] = _mm_sha256rnds2_epu32(feba[i], hgdc[i], _mm_shuffle_epi32(sum[i], 0x0e));
      }
    }
#pragma GCC unroll 3
    for (std::size_t i = 0; i < kCount; ++i) {
      feba[i] = _mm_add_epi32(feba[i], feba_before[i]);
      hgdc[i] = _mm_add_epi32(hgdc[i], hgdc_before[i]);
      at[i] += kBlockBytes;
    }
  }
  for (std::size_t i = 0; i < kCount; ++i) {
    _mm_store_si128(reinterpret_cast<__m128i*>(lanes[i]->state.feba.data()), feba[i]);
    _mm_store_si128(reinterpret_cast<__m128i*>(lanes[i]->state.hgdc.data()), hgdc[i]);
    lanes[i]->at = at[i];
    lanes[i]->blocks -= blocks;
  }
}

bool ask_processor() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

}  // namespace

bool has_sha256_lanes() {
  static const bool has = ask_processor();
  return has;
}

void sha256_in_lanes(std::span<const std::span<const std::byte>> inputs, std::span<Digest> digests) {
  CHECK(inputs.size() == digests.size() && has_sha256_lanes());
  // The longest first, so that no lane is left alone with a long one at the end.
  std::vector<std::size_t> order(inputs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, std::ranges::greater{}, [&](std::size_t number) { return inputs[number].size(); });
  std::array<Lane, kLanes> memory;
  std::array<Lane*, kLanes> lanes{};
  std::size_t count = 0;
  std::size_t next = 0;
  for (; count < kLanes && next < order.size(); ++count, ++next) {
    lanes[count] = &memory[count];
    begin(*lanes[count], order[next], inputs[order[next]]);
  }
  while (count > 0) {
    std::size_t blocks = SIZE_MAX;
    for (std::size_t i = 0; i < count;) {
      if (go_on(*lanes[i])) {
        blocks = std::min(blocks, lanes[i++]->blocks);
        continue;
      }
      digests[lanes[i]->input] = digest_of(lanes[i]->state);
      if (next < order.size()) {
        begin(*lanes[i], order[next], inputs[order[next]]);
        ++next;
      } else {
        std::swap(lanes[i], lanes[--count]);
      }
    }
    switch (count) {
      case 1:
        compress<1>(lanes, blocks);
        break;
      case 2:
        compress<2>(lanes, blocks);
        break;
      case 3:
        compress<3>(lanes, blocks);
        break;
      default:
        break;
    }
  }
}

}  // namespace atelier::image

#else

namespace atelier::image {

bool has_sha256_lanes() { return false; }
void sha256_in_lanes(std::span<const std::span<const std::byte>> /*inputs*/, std::span<Digest> /*digests*/) {
  CHECK(has_sha256_lanes());
}

}  // namespace atelier::image

#endif
