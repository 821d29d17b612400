// Which user names and passwords a guest may be given. Pure rules.
#pragma once

#include <string_view>

#include "base/error.h"

namespace atelier::labs {

// What the name is for: an account that first boot makes (generalized image), or one that the image has already.
enum class UserAccount { kNew, kExisting };

// An existing account: 1 to 32 letters, digits, `_`, `-` and `.`, beginning with a letter or `_`. A new one: what
// vm::check_user_name allows, and none that systems bring along. Fails with kInvalidArgument and `target`.
Status check_user_name(std::string_view name, UserAccount account, std::string_view target);

// 8 to 72 printable characters of at least three of the four kinds: lower case, upper case, digits, others.
// Fails with kInvalidArgument and `target`; the message never holds the password.
Status check_password(std::string_view password, std::string_view target);

}  // namespace atelier::labs
