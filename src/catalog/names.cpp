#include "catalog/names.h"

#include <fmt/format.h>
#include <charconv>
#include <limits>

namespace atelier::catalog {
namespace {

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

struct Rule {
  std::string_view extra;       // legal besides letters and digits
  std::string_view extra_last;  // of these, legal at the end
  std::string_view extra_first;
  std::size_t length_max;
  std::string_view words;
};

Status check(std::string_view name, const Rule& rule, std::string_view target) {
  const auto is_legal = [](char c, std::string_view extra) {
    return is_letter_or_digit(c) || extra.find(c) != std::string_view::npos;
  };
  bool legal = !name.empty() && name.size() <= rule.length_max && is_legal(name.front(), rule.extra_first) &&
               is_legal(name.back(), rule.extra_last);
  for (const char c : name) legal = legal && is_legal(c, rule.extra);
  if (legal) return {};
  return fail(
      Error(Code::kInvalidArgument, fmt::format("'{}' is not a legal name. Use 1 to {} characters: {}.",
                                                name.substr(0, rule.length_max + 1), rule.length_max, rule.words))
          .with_reason("InvalidParameter")
          .with_target(std::string(target)));
}

}  // namespace

Status check_gallery_name(std::string_view name, std::string_view target) {
  return check(name, {"_.", "", "", 80, "letters, digits, and inside the name underscores and dots"}, target);
}

Status check_definition_name(std::string_view name, std::string_view target) {
  return check(name, {"_-.", "", "", 80, "letters, digits, and inside the name underscores, dashes and dots"}, target);
}

Status check_identifier_part(std::string_view text, std::size_t length_max, std::string_view target) {
  return check(text,
               {"-_.", "-_", "-_.", length_max, "letters, digits, dashes, underscores and dots, no dot at the end"},
               target);
}

Status check_resource_group_name(std::string_view name, std::string_view target) {
  return check(
      name,
      {"_-.()", "_-()", "_-.()", 90, "letters, digits, underscores, dashes, dots and parentheses, no dot at the end"},
      target);
}

Status check_resource_name(std::string_view name, std::string_view target) {
  return check(name,
               {"_-.", "_", "", 80,
                "letters, digits, underscores, dashes and dots, a letter or digit first, a letter, digit or "
                "underscore last"},
               target);
}

Result<VersionNumber> VersionNumber::parse(std::string_view text, std::string_view target) {
  const auto bad = [&] {
    return fail(Error(Code::kInvalidArgument,
                      fmt::format("'{}' is not a version. Write Major.Minor.Patch, three numbers from 0 to {}, "
                                  "for example 1.0.0.",
                                  text.substr(0, 80), std::numeric_limits<std::int32_t>::max()))
                    .with_reason("InvalidParameter")
                    .with_target(std::string(target)));
  };
  VersionNumber number;
  std::string_view rest = text;
  for (std::int32_t* part : {&number.major, &number.minor, &number.patch}) {
    const std::size_t dot = rest.find('.');
    const bool last = part == &number.patch;
    if (last != (dot == std::string_view::npos)) return bad();
    const std::string_view digits = rest.substr(0, dot);
    // from_chars takes a minus sign, we do not; 01 would be a second name for 1.
    if (digits.empty() || digits[0] == '-' || (digits.size() > 1 && digits[0] == '0')) return bad();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *part);
    if (error != std::errc() || end != digits.data() + digits.size()) return bad();
    if (!last) rest.remove_prefix(dot + 1);
  }
  return number;
}

std::string VersionNumber::text() const { return fmt::format("{}.{}.{}", major, minor, patch); }

}  // namespace atelier::catalog
