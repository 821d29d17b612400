// Bodies of the kind application/x-www-form-urlencoded, which OAuth speaks.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace atelier::api {

// The fields of a form; a malformed percent escape stays as it is written. The last of equal names counts.
std::map<std::string, std::string> parse_form(std::string_view body);

}  // namespace atelier::api
