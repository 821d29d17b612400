// Signatures of upload URLs: whoever has the URL may write this one disk, until it expires.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace atelier::db {
class Database;
}

namespace atelier::auth {

// Any thread may use it.
class UploadSigner {
 public:
  // The key is kept in the settings; made at the first use.
  static Result<UploadSigner> open(db::Database& database);

  // The query string of an upload URL, without '?': "se=<expiry, seconds>&sig=<hex>".
  std::string sign(std::string_view disk_guid, TimePoint expires_at) const;

  // `expiry` and `signature` are the values of se and sig. kPermissionDenied (reason "AuthenticationFailed") when they
  // are not of this disk, or it is past the expiry.
  Status verify(std::string_view disk_guid, std::string_view expiry, std::string_view signature) const;

 private:
  explicit UploadSigner(std::string key) : key_(std::move(key)) {}
  std::string key_;  // 32 bytes
};

}  // namespace atelier::auth
