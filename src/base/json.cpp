#include "base/json.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

namespace atelier {

Result<json::value> parse_json(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.bytes_max) {
    return fail(Code::kTooLarge,
                fmt::format("The JSON text has {} bytes; at most {} are accepted.", text.size(), limits.bytes_max));
  }
  json::parse_options options;
  options.max_depth = limits.depth_max;
  boost::system::error_code error;
  json::value value = json::parse(text, error, {}, options);
  if (error) {
    return fail(Code::kInvalidArgument, fmt::format("The text is not valid JSON: {}.", error.message()));
  }
  return value;
}

Result<json::object> parse_json_object(std::string_view text, JsonLimits limits) {
  json::value value = TRY(parse_json(text, limits));
  if (!value.is_object()) return fail(Code::kInvalidArgument, "The JSON text must be an object: {…}.");
  return std::move(value.as_object());
}

std::string to_text(const json::value& value) { return json::serialize(value); }

const json::value* find(const json::object& root, std::string_view path) {
  const json::object* object = &root;
  while (true) {
    const std::size_t dot = path.find('.');
    const json::value* value = object->if_contains(path.substr(0, dot));
    if (value == nullptr || value->is_null()) return nullptr;
    if (dot == std::string_view::npos) return value;
    object = value->if_object();
    if (object == nullptr) return nullptr;
    path.remove_prefix(dot + 1);
  }
}

const json::value* find(const json::value& root, std::string_view path) {
  const json::object* object = root.if_object();
  return object == nullptr ? nullptr : find(*object, path);
}

std::string string_at(const json::object& root, std::string_view path, std::string_view fallback) {
  const json::value* value = find(root, path);
  if (value == nullptr || !value->is_string()) return std::string(fallback);
  return std::string(value->get_string());
}

std::int64_t int_at(const json::object& root, std::string_view path, std::int64_t fallback) {
  const json::value* value = find(root, path);
  if (value == nullptr) return fallback;
  boost::system::error_code error;
  const auto number = value->to_number<std::int64_t>(error);
  return error ? fallback : number;
}

std::uint64_t uint_at(const json::object& root, std::string_view path, std::uint64_t fallback) {
  const json::value* value = find(root, path);
  if (value == nullptr) return fallback;
  boost::system::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  return error ? fallback : number;
}

bool bool_at(const json::object& root, std::string_view path, bool fallback) {
  const json::value* value = find(root, path);
  return value != nullptr && value->is_bool() ? value->get_bool() : fallback;
}

namespace {

std::unexpected<Error> wrong_type(std::string_view path, std::string_view expected) {
  return fail(Error(Code::kInvalidArgument, fmt::format("The field '{}' must be {}.", path, expected))
                  .with_target(std::string(path)));
}

}  // namespace

Result<std::string> require_string(const json::object& root, std::string_view path) {
  const json::value* value = find(root, path);
  if (value == nullptr) {
    return fail(
        Error(Code::kInvalidArgument, fmt::format("The field '{}' is required.", path)).with_target(std::string(path)));
  }
  if (!value->is_string()) return wrong_type(path, "a text");
  return std::string(value->get_string());
}

Result<std::string> optional_string(const json::object& root, std::string_view path, std::string_view fallback) {
  if (find(root, path) == nullptr) return std::string(fallback);
  return require_string(root, path);
}

Result<std::int64_t> optional_int(const json::object& root, std::string_view path, std::int64_t fallback) {
  const json::value* value = find(root, path);
  if (value == nullptr) return fallback;
  boost::system::error_code error;
  const auto number = value->to_number<std::int64_t>(error);
  if (error) return wrong_type(path, "a whole number");
  return number;
}

Result<bool> optional_bool(const json::object& root, std::string_view path, bool fallback) {
  const json::value* value = find(root, path);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) return wrong_type(path, "true or false");
  return value->get_bool();
}

void set_at(json::object& root, std::string_view path, json::value value) {
  json::object* object = &root;
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
    json::value& next = (*object)[path.substr(0, dot)];
    object = next.is_object() ? &next.get_object() : &next.emplace_object();
    path.remove_prefix(dot + 1);
  }
  (*object)[path] = std::move(value);
}

void merge_patch(json::object& target, const json::object& patch) {
  for (const auto& [key, value] : patch) {
    if (value.is_null()) {
      target.erase(key);
    } else if (const json::object* nested = value.if_object()) {
      json::value& member = target[key];
      merge_patch(member.is_object() ? member.get_object() : member.emplace_object(), *nested);
    } else {
      target[key] = value;
    }
  }
}

}  // namespace atelier
