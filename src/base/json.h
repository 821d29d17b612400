// JSON values are Boost.JSON's; here are the bounded parser for text from outside and typed look-ups that name the
// field at fault. Only json.cpp compiles the parser.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier {

namespace json = boost::json;

struct JsonLimits {
  std::size_t bytes_max = 1 << 20;
  std::size_t depth_max = 32;
};

// Parses one whole JSON text. Fails with kInvalidArgument on malformed text, invalid UTF-8, too deep nesting, and with
// kTooLarge above bytes_max. Duplicate keys: the last one counts.
Result<json::value> parse_json(std::string_view text, JsonLimits limits = {});
// The same, and the value must be an object.
Result<json::object> parse_json_object(std::string_view text, JsonLimits limits = {});

std::string to_text(const json::value& value);

// The value at a dotted path such as "properties.publishingProfile.replicaCount", or nullptr when a step is missing,
// null or not an object. Field names match exactly.
const json::value* find(const json::value& root, std::string_view path);
const json::value* find(const json::object& root, std::string_view path);

// Typed look-ups. Absent or null gives `fallback`; a value of another type gives "" / fallback as well: use the
// `require_` and `optional_` forms for input from outside.
std::string string_at(const json::object& root, std::string_view path, std::string_view fallback = {});
std::int64_t int_at(const json::object& root, std::string_view path, std::int64_t fallback = 0);
std::uint64_t uint_at(const json::object& root, std::string_view path, std::uint64_t fallback = 0);
bool bool_at(const json::object& root, std::string_view path, bool fallback = false);

// For input: kInvalidArgument with the path as target when the field is missing (require_) or of another type.
Result<std::string> require_string(const json::object& root, std::string_view path);
Result<std::string> optional_string(const json::object& root, std::string_view path, std::string_view fallback = {});
Result<std::int64_t> optional_int(const json::object& root, std::string_view path, std::int64_t fallback);
Result<bool> optional_bool(const json::object& root, std::string_view path, bool fallback);

// Sets the value at a dotted path, making the objects on the way.
void set_at(json::object& root, std::string_view path, json::value value);

// RFC 7396: `patch`'s members replace or, when null, remove those of `target`; objects merge.
void merge_patch(json::object& target, const json::object& patch);

}  // namespace atelier
