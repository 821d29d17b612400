// Splits a request target into a decoded path and query.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace atelier::http {

// Undoes %XX; nullopt for a bad escape, a control character or invalid UTF-8 in the result.
std::optional<std::string> percent_decode(std::string_view text);

// The path of "/a/b?c=d" or "http://host/a/b?c=d", decoded. kInvalidArgument as Router::parse_target says.
Result<std::string> decode_path(std::string_view target);

// The parameters behind '?', '+' read as a space. kInvalidArgument for a bad escape.
Result<std::vector<std::pair<std::string, std::string>>> decode_query(std::string_view target);

// What may be logged of a target: all before the query string, which can hold signatures.
std::string_view without_query(std::string_view target);

}  // namespace atelier::http
