// What names are legal (Azure's rules; reference: "Create a gallery", naming sections).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::catalog {

// Each fails with kInvalidArgument, reason "InvalidParameter" and `target`, saying the rule.
// Letters, digits, `_` and `.`; the last two inside only; 1 to 80.
Status check_gallery_name(std::string_view name, std::string_view target);
// Letters, digits, `_`, `-` and `.`; the last three inside only; 1 to 80. Also the rule for an exported image's name.
Status check_definition_name(std::string_view name, std::string_view target);
// Letters, digits, `-`, `_`, `.`, not ending in `.`; 1 to length_max.
Status check_identifier_part(std::string_view text, std::size_t length_max, std::string_view target);
// Letters, digits, `_ - . ( )`, not ending in `.`; 1 to 90.
Status check_resource_group_name(std::string_view name, std::string_view target);
// Letters, digits, `_`, `-` and `.`; begins with a letter or digit, ends with one or `_`; 1 to 80: disks, lab plans,
// labs.
Status check_resource_name(std::string_view name, std::string_view target);

// Major.Minor.Patch, each 0 to 2^31-1, without leading zeros or suffixes. Ordered as numbers.
struct VersionNumber {
  std::int32_t major = 0;
  std::int32_t minor = 0;
  std::int32_t patch = 0;

  static Result<VersionNumber> parse(std::string_view text, std::string_view target = {});
  std::string text() const;
  auto operator<=>(const VersionNumber&) const = default;
};

}  // namespace atelier::catalog
