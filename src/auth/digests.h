// SHA-256 and what is built on it, over short texts.
#pragma once

#include <string>
#include <string_view>

namespace atelier::auth {

// 32 bytes.
std::string sha256(std::string_view bytes);
// 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view bytes);
// In lower-case hexadecimal.
std::string hex_of(std::string_view bytes);
// In constant time for equal lengths.
bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace atelier::auth
