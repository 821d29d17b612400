#include "labs/profiles.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "labs/durations.h"

namespace atelier::labs {
namespace {

constexpr std::array<std::string_view, 3> kAccess = {"None", "Private", "Public"};
constexpr std::array<std::string_view, 2> kSwitch = {"Disabled", "Enabled"};
constexpr std::array<std::string_view, 3> kIdle = {"None", "UserAbsence", "LowUsage"};
constexpr std::chrono::hours kDelayMax{24};

struct Setting {
  std::string_view name;
  std::span<const std::string_view> words;  // empty: a duration
  std::string_view fallback;
};

const std::array<Setting, 4> kConnection = {{{"webSshAccess", kAccess, "None"},
                                             {"webRdpAccess", kAccess, "None"},
                                             {"clientSshAccess", kAccess, "Public"},
                                             {"clientRdpAccess", kAccess, "None"}}};
const std::array<Setting, 6> kAutoShutdown = {{{"shutdownOnDisconnect", kSwitch, "Disabled"},
                                               {"shutdownWhenNotConnected", kSwitch, "Disabled"},
                                               {"shutdownOnIdle", kIdle, "None"},
                                               {"disconnectDelay", {}, "PT0S"},
                                               {"noConnectDelay", {}, "PT0S"},
                                               {"idleDelay", {}, "PT0S"}}};
const std::array<Setting, 1> kSecurity = {{{"openAccess", kSwitch, "Disabled"}}};

Result<std::string> read_setting(const Setting& setting, std::string_view given, std::string_view target) {
  if (!setting.words.empty()) return require_word(given, setting.words, target);
  const std::chrono::seconds delay = TRY(parse_duration(given, target));
  if (delay > kDelayMax) {
    return fail(Error(Code::kInvalidArgument, fmt::format("The delay must be at most {}.", to_iso8601(kDelayMax)))
                    .with_target(std::string(target)));
  }
  return to_iso8601(delay);
}

Result<const json::object*> object_or_empty(const json::value* given, std::string_view target) {
  static const json::object kEmpty;
  if (given == nullptr || given->is_null()) return &kEmpty;
  if (given->is_object()) return &given->get_object();
  return fail(Error(Code::kInvalidArgument, fmt::format("The field '{}' must be an object.", target))
                  .with_target(std::string(target)));
}

Result<json::object> read_settings(std::span<const Setting> settings, const json::value* given,
                                   const json::object& base, std::string_view target) {
  const json::object& fields = *TRY(object_or_empty(given, target));
  json::object result;
  for (const Setting& setting : settings) {
    const std::string field = fmt::format("{}.{}", target, setting.name);
    const json::value* value = find(fields, setting.name);
    if (value == nullptr) {
      result[setting.name] = string_at(base, setting.name, setting.fallback);
    } else if (value->is_string()) {
      result[setting.name] = TRY(read_setting(setting, value->get_string(), field));
    } else {
      return fail(
          Error(Code::kInvalidArgument, fmt::format("The field '{}' must be a text.", field)).with_target(field));
    }
  }
  return result;
}

// What students type to join a lab: no letters or digits that are easily taken for one another.
std::string new_registration_code() {
  constexpr std::string_view kLetters = "abcdefghjkmnpqrstuvwxyz23456789";
  constexpr std::size_t kLength = 20;
  std::string code = random_bytes(kLength);
  for (char& c : code) c = kLetters[static_cast<unsigned char>(c) % kLetters.size()];
  return code;
}

}  // namespace

Result<std::string> require_word(std::string_view given, std::span<const std::string_view> words,
                                 std::string_view target) {
  const auto found =
      std::ranges::find_if(words, [&](std::string_view word) { return equals_ignoring_case(word, given); });
  if (found != words.end()) return std::string(*found);
  return fail(Error(Code::kInvalidArgument, fmt::format("'{}' is not a value of '{}'. Use one of: {}.",
                                                        given.substr(0, 40), target, fmt::join(words, ", ")))
                  .with_target(std::string(target)));
}

Result<json::object> read_connection_profile(const json::value* given, const json::object& base,
                                             std::string_view target) {
  return read_settings(kConnection, given, base, target);
}

Result<json::object> read_auto_shutdown_profile(const json::value* given, const json::object& base,
                                                std::string_view target) {
  return read_settings(kAutoShutdown, given, base, target);
}

Result<json::object> read_security_profile(const json::value* given, const json::object& base,
                                           std::string_view target) {
  json::object profile = TRY(read_settings(kSecurity, given, base, target));
  const std::string code = string_at(base, "registrationCode");
  profile["registrationCode"] = code.empty() ? new_registration_code() : code;
  return profile;
}

Result<json::object> read_support_info(const json::value* given, std::string_view target) {
  struct Text {
    std::string_view name;
    std::size_t length_min;
    std::size_t length_max;
  };
  constexpr std::array<Text, 4> kTexts = {
      {{"url", 3, 2000}, {"email", 6, 254}, {"phone", 1, 31}, {"instructions", 1, 1000}}};
  const json::object& fields = *TRY(object_or_empty(given, target));
  json::object info;
  for (const Text& text : kTexts) {
    const json::value* value = find(fields, text.name);
    if (value == nullptr) continue;
    if (!value->is_string() || value->get_string().size() < text.length_min ||
        value->get_string().size() > text.length_max) {
      const std::string field = fmt::format("{}.{}", target, text.name);
      return fail(Error(Code::kInvalidArgument, fmt::format("The field '{}' must be a text of {} to {} characters.",
                                                            field, text.length_min, text.length_max))
                      .with_target(field));
    }
    info[text.name] = *value;
  }
  return info;
}

}  // namespace atelier::labs
