#include "api/fields.h"

#include <fmt/format.h>

#include "base/text.h"

namespace atelier::api {
namespace {

std::string target_of(std::string_view path) { return fmt::format("properties.{}", path); }

// Errors of base/json.h name the path inside properties only.
template <typename T>
Result<T> in_properties(Result<T> result) {
  if (result) return result;
  return fail(Error(result.error()).with_reason("InvalidParameter").with_target(target_of(result.error().target())));
}

}  // namespace

std::unexpected<Error> bad_field(std::string_view target, std::string message) {
  return fail(Error(Code::kInvalidArgument, std::move(message))
                  .with_reason("InvalidParameter")
                  .with_target(std::string(target)));
}

Result<std::string> require_word(const json::object& properties, std::string_view path,
                                 std::initializer_list<std::string_view> words) {
  const std::string given = TRY(in_properties(require_string(properties, path)));
  std::string known;
  for (const std::string_view word : words) {
    if (equals_ignoring_case(word, given)) return std::string(word);
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  return bad_field(target_of(path),
                   fmt::format("'{}' is not a value of '{}'. Use one of: {}.", given.substr(0, 80), path, known));
}

Result<std::string> optional_word(const json::object& properties, std::string_view path,
                                  std::initializer_list<std::string_view> words, std::string_view fallback) {
  if (find(properties, path) == nullptr) return std::string(fallback);
  return require_word(properties, path, words);
}

Status copy_text(const json::object& from, json::object& to, std::string_view name, std::size_t bytes_max) {
  if (find(from, name) == nullptr) return {};
  const std::string text = TRY(in_properties(require_string(from, name)));
  if (text.size() > bytes_max) {
    return bad_field(target_of(name), fmt::format("'{}' has at most {} bytes.", name, bytes_max));
  }
  to[name] = text;
  return {};
}

Status copy_shape(const json::object& from, json::object& to, std::string_view name, Shape shape) {
  const json::value* value = find(from, name);
  if (value == nullptr) return {};
  const bool fits = shape == Shape::kObject ? value->is_object() : value->is_array();
  if (!fits) {
    return bad_field(target_of(name),
                     fmt::format("'{}' must be {}.", name, shape == Shape::kObject ? "an object" : "a list"));
  }
  to[name] = *value;
  return {};
}

Status copy_future_date(const json::object& from, json::object& to, std::string_view path) {
  if (find(from, path) == nullptr) return {};
  const std::string text = TRY(in_properties(require_string(from, path)));
  if (text == string_at(to, path)) return {};
  const auto time = parse_rfc3339(text);
  if (!time) {
    return bad_field(target_of(path), fmt::format("'{}' must be a time such as 2031-01-31T00:00:00Z.", path));
  }
  if (*time <= now()) return bad_field(target_of(path), fmt::format("'{}' must be in the future.", path));
  set_at(to, path, json::value(text));
  return {};
}

Status check_unchanged(const json::object& old_properties, const json::object& new_properties, std::string_view path,
                       std::string_view target_prefix) {
  if (find(new_properties, path) == nullptr) return {};
  const std::string old_text = string_at(old_properties, path);
  const std::string new_text = string_at(new_properties, path);
  if (equals_ignoring_case(old_text, new_text)) return {};
  return fail(
      Error(Code::kConflict, fmt::format("Changing the property '{}' is not allowed: it is '{}'.", path, old_text))
          .with_reason("PropertyChangeNotAllowed")
          .with_target(fmt::format("{}.properties.{}", target_prefix, path)));
}

}  // namespace atelier::api
