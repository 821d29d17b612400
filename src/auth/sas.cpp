#include "auth/sas.h"

#include <fmt/format.h>

#include "auth/digests.h"
#include "db/database.h"
#include "db/settings.h"

namespace atelier::auth {
namespace {

constexpr auto kSetting = "upload_signing_key";
constexpr std::size_t kKeyBytes = 32;

std::string signature_of(std::string_view key, std::string_view disk_guid, std::string_view expiry) {
  return hex_of(hmac_sha256(key, fmt::format("upload\n{}\n{}", to_lower(disk_guid), expiry)));
}

}  // namespace

Result<UploadSigner> UploadSigner::open(db::Database& database) {
  const auto kept_or_made = database.write([](db::Transaction& transaction) -> Result<std::string> {
    if (const auto kept = TRY(db::get_setting(transaction, kSetting))) return *kept;
    const std::string made = hex_of(random_bytes(kKeyBytes));
    TRY(db::put_setting(transaction, kSetting, made));
    return made;
  });
  const std::string hex = TRY(kept_or_made);
  std::string key(kKeyBytes, '\0');
  TRY_DURING(from_hex(hex, std::span(reinterpret_cast<std::uint8_t*>(key.data()), key.size())),
             "read the key that signs upload URLs");
  return UploadSigner(std::move(key));
}

std::string UploadSigner::sign(std::string_view disk_guid, TimePoint expires_at) const {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(expires_at).time_since_epoch().count();
  const std::string expiry = std::to_string(seconds);
  return fmt::format("se={}&sig={}", expiry, signature_of(key_, disk_guid, expiry));
}

Status UploadSigner::verify(std::string_view disk_guid, std::string_view expiry, std::string_view signature) const {
  const auto refuse = [](const char* message) {
    return fail(Error(Code::kPermissionDenied, message).with_reason("AuthenticationFailed"));
  };
  // The signature first: only then is the expiry ours, and a number.
  if (!equal_secrets(signature_of(key_, disk_guid, expiry), signature)) {
    return refuse("The upload URL is not valid. Ask for a new one with beginGetAccess.");
  }
  const std::uint64_t seconds = TRY(parse_uint64(expiry));
  if (now() >= TimePoint(std::chrono::seconds(seconds))) {
    return refuse("The upload URL has expired. Ask for a new one with beginGetAccess.");
  }
  return {};
}

}  // namespace atelier::auth
