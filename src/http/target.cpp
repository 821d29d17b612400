#include "http/target.h"

#include <algorithm>
#include <cstdint>

namespace atelier::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// How many bytes follow a leading byte of UTF-8, and the smallest code point that needs so many; -1 for none.
int followers(unsigned char lead) {
  if (lead < 0x80) return 0;
  if ((lead & 0xe0) == 0xc0) return 1;
  if ((lead & 0xf0) == 0xe0) return 2;
  if ((lead & 0xf8) == 0xf0) return 3;
  return -1;
}

bool is_plain_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x20 || lead == 0x7f) return false;
    const int count = followers(lead);
    if (count < 0 || i + static_cast<std::size_t>(count) >= text.size()) return false;
    if (count == 0) continue;
    std::uint32_t point = lead & (0x3fU >> count);
    for (int n = 0; n < count; ++n) {
      const auto next = static_cast<unsigned char>(text[++i]);
      if ((next & 0xc0) != 0x80) return false;
      point = (point << 6) | (next & 0x3fU);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
    if (point < kSmallest[count] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
  }
  return true;
}

// The target without scheme and authority, should a client send the absolute form that proxies get.
std::string_view origin_form(std::string_view target) {
  const auto scheme = target.find("://");
  if (target.empty() || target.front() == '/' || scheme == std::string_view::npos) return target;
  const auto slash = target.find_first_of("/?", scheme + 3);
  return slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (!is_plain_utf8(decoded)) return std::nullopt;
  return decoded;
}

std::string_view without_query(std::string_view target) { return target.substr(0, target.find('?')); }

Result<std::string> decode_path(std::string_view target) {
  const std::string_view path = without_query(origin_form(target));
  if (path.empty() || path.front() != '/') {
    return fail(Code::kInvalidArgument, "The request target must be a path that begins with a slash.");
  }
  std::string decoded;
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const auto segment = percent_decode(path.substr(begin, end - begin));
    if (!segment) {
      return fail(Code::kInvalidArgument, "The path holds a bad percent escape, a control character or no UTF-8.");
    }
    if (segment->find_first_of("/\\#") != std::string::npos || *segment == "." || *segment == "..") {
      return fail(Code::kInvalidArgument, "A segment of the path holds a slash, a backslash or a '#', or is a dot.");
    }
    decoded += '/';
    decoded += *segment;
    begin = end + 1;
  }
  return decoded;
}

Result<std::vector<std::pair<std::string, std::string>>> decode_query(std::string_view target) {
  std::vector<std::pair<std::string, std::string>> query;
  const auto mark = target.find('?');
  if (mark == std::string_view::npos) return query;
  const std::string text = [&] {
    std::string copy(target.substr(mark + 1));
    std::ranges::replace(copy, '+', ' ');
    return copy;
  }();
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('&', begin), text.size());
    const std::string_view pair = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals));
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) {
      return fail(Code::kInvalidArgument, "The query holds a bad percent escape, a control character or no UTF-8.");
    }
    query.emplace_back(std::move(*name), std::move(*value));
  }
  return query;
}

}  // namespace atelier::http
