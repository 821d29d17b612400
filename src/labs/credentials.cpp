#include "labs/credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "vm/seed.h"

namespace atelier::labs {
namespace {

constexpr std::size_t kUserNameMax = 32;
constexpr std::size_t kPasswordMin = 8;
constexpr std::size_t kPasswordMax = 72;

// Accounts that Linux images have from the start: first-boot tools would change these instead of making a user.
constexpr std::array<std::string_view, 21> kSystemUsers = {
    "_apt",       "backup", "bin",    "daemon", "games", "gnats", "irc",  "list", "lp",   "mail",    "man",
    "messagebus", "news",   "nobody", "proxy",  "root",  "sshd",  "sync", "sys",  "uucp", "www-data"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_other(char c) { return !is_lower(c) && !is_upper(c) && !is_digit(c); }

std::unexpected<Error> wrong(std::string message, std::string_view target) {
  return fail(Error(Code::kInvalidArgument, std::move(message)).with_target(std::string(target)));
}

}  // namespace

Status check_user_name(std::string_view name, UserAccount account, std::string_view target) {
  if (account == UserAccount::kNew) {
    if (const Status legal = vm::check_user_name(name); !legal) return wrong(legal.error().message(), target);
    if (std::ranges::find(kSystemUsers, name) != kSystemUsers.end() || name.starts_with("systemd-")) {
      return wrong(fmt::format("The user name '{}' belongs to the guest's own system. Choose another.", name), target);
    }
    return {};
  }
  const bool legal = !name.empty() && name.size() <= kUserNameMax &&
                     (is_lower(name[0]) || is_upper(name[0]) || name[0] == '_') &&
                     std::ranges::all_of(name, [](char c) { return !is_other(c) || c == '_' || c == '-' || c == '.'; });
  if (legal) return {};
  return wrong(fmt::format("The user name is not legal. Use 1 to {} letters, digits, '_', '-' and '.', beginning with "
                           "a letter or '_'.",
                           kUserNameMax),
               target);
}

Status check_password(std::string_view password, std::string_view target) {
  if (password.size() < kPasswordMin || password.size() > kPasswordMax) {
    return wrong(fmt::format("The password must have {} to {} characters.", kPasswordMin, kPasswordMax), target);
  }
  // Bytes above 0x7f are parts of UTF-8 characters; control characters would end a line of the seed or of a log.
  if (std::ranges::any_of(password, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; })) {
    return wrong("The password must not hold control characters.", target);
  }
  const auto has = [&](bool (*kind)(char)) { return std::ranges::any_of(password, kind) ? 1 : 0; };
  if (has(is_lower) + has(is_upper) + has(is_digit) + has(is_other) < 3) {
    return wrong(
        "The password is too simple. Use at least three of: lower case letters, upper case letters, digits, other "
        "characters.",
        target);
  }
  return {};
}

}  // namespace atelier::labs
