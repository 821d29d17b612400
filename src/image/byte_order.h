// Unaligned integers in the byte order a file format asks for.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"

namespace atelier::image {

template <std::unsigned_integral T>
T big_endian_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
  CHECK(offset <= bytes.size() && sizeof(T) <= bytes.size() - offset);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = value << 8 | bytes[offset + i];
  return static_cast<T>(value);
}

template <std::unsigned_integral T>
T little_endian_at(std::span<const std::uint8_t> bytes, std::size_t offset) {
  CHECK(offset <= bytes.size() && sizeof(T) <= bytes.size() - offset);
  std::uint64_t value = 0;
  for (std::size_t i = sizeof(T); i > 0; --i) value = value << 8 | bytes[offset + i - 1];
  return static_cast<T>(value);
}

}  // namespace atelier::image
