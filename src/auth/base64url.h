// Base 64 for URLs, without padding (RFC 4648, section 5), as JSON Web Tokens use it.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::auth {

std::string to_base64url(std::string_view bytes);
// Strict: kInvalidArgument for any other character, padding, a length that cannot be, or bits that mean nothing.
Result<std::string> from_base64url(std::string_view text);

}  // namespace atelier::auth
