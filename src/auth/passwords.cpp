#include "auth/passwords.h"

#include <crypt.h>

#include <array>
#include <memory>

#include "auth/digests.h"
#include "base/check.h"
#include "base/text.h"

namespace atelier::auth {
namespace {

constexpr std::size_t kPasswordBytesMax = 512;  // what crypt(3) takes

Status check_password(std::string_view password) {
  if (password.empty()) return fail(Code::kInvalidArgument, "The password must not be empty.");
  if (password.size() >= kPasswordBytesMax) return fail(Code::kInvalidArgument, "The password is too long.");
  if (password.find('\0') != std::string_view::npos) {
    return fail(Code::kInvalidArgument, "The password must not hold a NUL character.");
  }
  return {};
}

// "" when `setting` is no salt or hash of a kind that the library knows.
std::string crypt_with(std::string_view password, const std::string& setting) {
  const auto data = std::make_unique<crypt_data>();
  const std::string phrase(password);
  const char* hash = crypt_rn(phrase.c_str(), setting.c_str(), data.get(), static_cast<int>(sizeof(crypt_data)));
  return hash == nullptr ? std::string() : std::string(hash);
}

Result<std::string> hash_with_new_salt(std::string_view password, const char* prefix) {
  TRY(check_password(password));
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
  const std::string random = random_bytes(32);
  CHECK(crypt_gensalt_rn(prefix, 0, random.data(), static_cast<int>(random.size()), setting.data(),
                         static_cast<int>(setting.size())) != nullptr);
  std::string hash = crypt_with(password, setting.data());
  if (hash.empty()) return fail(Code::kInternal, "The password could not be hashed.");
  return hash;
}

}  // namespace

Result<std::string> hash_password(std::string_view password) { return hash_with_new_salt(password, "$y$"); }

Result<std::string> guest_password_hash(std::string_view password) { return hash_with_new_salt(password, "$6$"); }

bool password_matches(std::string_view password, std::string_view hash) {
  if (!check_password(password) || !hash.starts_with('$')) return false;
  const std::string again = crypt_with(password, std::string(hash));
  return !again.empty() && equal_secrets(again, hash);
}

}  // namespace atelier::auth
