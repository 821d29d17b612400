// Checks of the fields of request bodies: each failure is a 400 InvalidParameter (or a 409 PropertyChangeNotAllowed)
// whose target is the field's path.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace atelier::api {

std::unexpected<Error> bad_field(std::string_view target, std::string message);

// `path` is inside `properties`; targets are "properties." + path. All compare words without regard to case and give
// them in the casing of `words`.
Result<std::string> require_word(const json::object& properties, std::string_view path,
                                 std::initializer_list<std::string_view> words);
Result<std::string> optional_word(const json::object& properties, std::string_view path,
                                  std::initializer_list<std::string_view> words, std::string_view fallback);

// Copies a text field when it is there; at most bytes_max bytes.
Status copy_text(const json::object& from, json::object& to, std::string_view name, std::size_t bytes_max);
// Copies an object or array field when it is there, as it is.
enum class Shape { kObject, kArray };
Status copy_shape(const json::object& from, json::object& to, std::string_view name, Shape shape);

// Copies a date (at `path` in both) when it is there: RFC 3339, and in the future unless it is the one that `to` has.
Status copy_future_date(const json::object& from, json::object& to, std::string_view path);

// 409 PropertyChangeNotAllowed, target `target`, unless the texts at `path` are equal (in any case) or the new one is
// absent.
Status check_unchanged(const json::object& old_properties, const json::object& new_properties, std::string_view path,
                       std::string_view target_prefix);

}  // namespace atelier::api
