// Password hashes in crypt(3) form.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::auth {

// yescrypt ("$y$…") with a fresh salt, for our own users. Takes tens of milliseconds and some MiB, on purpose.
// kInvalidArgument when the password is empty, longer than 512 bytes or holds a NUL.
Result<std::string> hash_password(std::string_view password);

// In constant time for equal lengths; false for a malformed hash.
bool password_matches(std::string_view password, std::string_view hash);

// sha512-crypt ("$6$…"), which every guest's /etc/shadow understands: for the NoCloud seed.
Result<std::string> guest_password_hash(std::string_view password);

}  // namespace atelier::auth
