// The groups of settings that lab accounts and labs have in common: connection, automatic shutdown, security, support.
// Words come in any case and are answered in Azure's; durations are answered in their normal form; unknown fields are
// dropped. Every function fails with kInvalidArgument naming the field, e.g.
// "properties.connectionProfile.clientSshAccess".
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace atelier::labs {

// The word of `words` that `given` is in any case. Fails naming the words there are.
Result<std::string> require_word(std::string_view given, std::span<const std::string_view> words,
                                 std::string_view target);

// `settings` with the fields of `given` (null: none) over those of `base`. A field that neither has gets the service's
// default: ssh is Public, all else None.
Result<json::object> read_connection_profile(const json::value* given, const json::object& base,
                                             std::string_view target);
// The same; everything is off by default, delays are PT0S.
Result<json::object> read_auto_shutdown_profile(const json::value* given, const json::object& base,
                                                std::string_view target);
// openAccess, Disabled by default. registrationCode is the server's: the one of `base`, or a new random one.
Result<json::object> read_security_profile(const json::value* given, const json::object& base, std::string_view target);
// url, email, phone, instructions: texts with Azure's lengths; absent ones stay absent.
Result<json::object> read_support_info(const json::value* given, std::string_view target);

}  // namespace atelier::labs
