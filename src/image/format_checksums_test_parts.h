// The checksums of VHD and VHDX, for tests and fuzzers that change a file and want to get past them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace atelier::image {

// Puts the checksum of a VHD's footer (at byte 64) or header (at 36): one's complement of the sum of all other bytes.
inline void put_vhd_checksum(std::span<std::uint8_t> block, std::size_t at) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (i / 4 != at / 4) sum += block[i];
  }
  for (std::size_t i = 0; i < 4; ++i) block[at + i] = static_cast<std::uint8_t>(~sum >> (24 - 8 * i));
}

// Puts the CRC-32C of a VHDX's header or region table into its bytes 4 to 7, which count as zeros.
inline void put_crc32c(std::span<std::uint8_t> block) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t i = 0; i < made.size(); ++i) {
      made[i] = i;
      for (int bit = 0; bit < 8; ++bit) made[i] = (made[i] >> 1) ^ ((made[i] & 1) != 0 ? 0x82f63b78U : 0U);
    }
    return made;
  }();
  std::uint32_t crc = ~0U;
  for (std::size_t i = 0; i < block.size(); ++i) {
    crc = (crc >> 8) ^ table[(crc ^ (i / 4 == 1 ? 0U : block[i])) & 0xff];
  }
  for (std::size_t i = 0; i < 4; ++i) block[4 + i] = static_cast<std::uint8_t>(~crc >> (8 * i));
}

}  // namespace atelier::image
