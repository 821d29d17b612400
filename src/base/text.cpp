#include "base/text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ctime>

#include "base/check.h"

namespace atelier {

TimePoint now() { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

std::string to_rfc3339(TimePoint time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (time - seconds).count());
}

namespace {

constexpr auto kNotRfc3339 = "is not an RFC 3339 time such as 2026-07-02T09:30:00Z";

// The number in text[offset, offset + digits), or -1 when those are not all digits.
int digits_at(std::string_view text, std::size_t offset, std::size_t digits) {
  if (offset + digits > text.size()) return -1;
  int value = 0;
  for (const char c : text.substr(offset, digits)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

// The offset from UTC at the end of an RFC 3339 time: "Z" or "+09:00".
Result<std::chrono::minutes> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") return std::chrono::minutes(0);
  const int hours = digits_at(text, 1, 2);
  const int minutes = digits_at(text, 4, 2);
  const bool well_formed = text.size() == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':';
  if (!well_formed || hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
    return fail(Code::kInvalidArgument, fmt::format("The offset '{}' {}.", text, kNotRfc3339));
  }
  const std::chrono::minutes offset(hours * 60 + minutes);
  return text[0] == '-' ? -offset : offset;
}

}  // namespace

Result<TimePoint> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto bad = [&] { return fail(Code::kInvalidArgument, fmt::format("'{}' {}.", text, kNotRfc3339)); };
  const year_month_day date{year(digits_at(text, 0, 4)), month(static_cast<unsigned>(digits_at(text, 5, 2))),
                            day(static_cast<unsigned>(digits_at(text, 8, 2)))};
  const int hour = digits_at(text, 11, 2);
  const int minute = digits_at(text, 14, 2);
  const int second = digits_at(text, 17, 2);
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
      text[16] != ':' || digits_at(text, 0, 4) < 0 || !date.ok() || hour < 0 || hour > 23 || minute < 0 ||
      minute > 59 || second < 0 || second > 60) {
    return bad();
  }
  std::size_t position = 19;
  int milliseconds_value = 0;
  if (text[position] == '.') {
    std::size_t digits = 0;
    for (++position; digits_at(text, position, 1) >= 0; ++position, ++digits) {
      if (digits < 3) milliseconds_value = milliseconds_value * 10 + digits_at(text, position, 1);
    }
    if (digits == 0 || digits > 9) return bad();
    for (; digits < 3; ++digits) milliseconds_value *= 10;
  }
  const auto offset = TRY(parse_offset(text.substr(position)));
  return TimePoint(sys_days(date)) + hours(hour) + minutes(minute) + seconds(second) +
         milliseconds(milliseconds_value) - offset;
}

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  std::size_t filled = 0;
  while (filled < count) {
    const ssize_t got = getrandom(bytes.data() + filled, count - filled, 0);
    if (got < 0 && errno == EINTR) continue;
    CHECK(got > 0);
    filled += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::string new_uuid() {
  std::array<std::uint8_t, 16> bytes{};
  const std::string random = random_bytes(bytes.size());
  std::copy(random.begin(), random.end(), bytes.begin());
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  const std::string hex = to_hex(bytes);
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20, 12));
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 0xf];
  }
  return hex;
}

Status from_hex(std::string_view hex, std::span<std::uint8_t> bytes) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  const auto bad = [&] {
    return fail(Code::kInvalidArgument, fmt::format("Expected {} hexadecimal digits.", bytes.size() * 2));
  };
  if (hex.size() != bytes.size() * 2) return bad();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = digit(hex[2 * i]);
    const int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return bad();
    bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return {};
}

namespace {
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
}  // namespace

std::string to_lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

Result<std::uint64_t> parse_uint64(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(Code::kInvalidArgument, fmt::format("'{}' is not a whole number from 0 to 2^64-1.", text));
  }
  return value;
}

std::string to_human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace atelier
