// Small conversions between text and values that every folder needs. Pure functions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier {

using TimePoint = std::chrono::sys_time<std::chrono::milliseconds>;

// Now, by the system's clock.
TimePoint now();
// "2026-11-23T07:47:32.123Z", RFC 3339 in UTC with milliseconds.
std::string to_rfc3339(TimePoint time);
// Accepts an offset or Z and up to nine fractional digits (cut to milliseconds).
Result<TimePoint> parse_rfc3339(std::string_view text);

// A random (version 4) UUID in lower case with dashes. From the kernel's random source.
std::string new_uuid();
// `count` bytes from the kernel's random source.
std::string random_bytes(std::size_t count);

std::string to_hex(std::span<const std::uint8_t> bytes);
// Fails with kInvalidArgument unless `hex` is exactly 2 × bytes.size() hexadecimal digits.
Status from_hex(std::string_view hex, std::span<std::uint8_t> bytes);

// ASCII only: ids and header names are compared that way.
std::string to_lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);

// Fails with kInvalidArgument unless all of `text` is a decimal number that fits.
Result<std::uint64_t> parse_uint64(std::string_view text);

// "12.3 MiB", for people.
std::string to_human_bytes(std::uint64_t bytes);

}  // namespace atelier
