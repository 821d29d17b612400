// Our own certificate authority and server certificate, for a machine that has none.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace atelier::auth {

struct CertificateFiles {
  std::filesystem::path ca;           // ca.pem: what clients must trust
  std::filesystem::path certificate;  // server.pem: the server's, then the CA's
  std::filesystem::path key;          // server-key.pem, mode 0600
};

struct CertificateOptions {
  std::vector<std::string> names = {};  // DNS names or IP addresses beside localhost, 127.0.0.1 and ::1
  std::chrono::days ca_lifetime{3650};
  std::chrono::days server_lifetime{397};  // at most 825, which is what clients take
  std::chrono::days renew_before{60};
};

// Makes in `folder` (which exists) a CA and a server certificate signed by it (ECDSA P-256), unless they are there and
// hold. The CA is kept as long as it holds; the server certificate is made anew when a name is missing in it, its end
// is near, or it is not of this CA. Files appear whole or not at all. kFailedPrecondition when a file is there and
// cannot be read: it may be somebody's own, so it is never overwritten.
Result<CertificateFiles> ensure_certificates(const std::filesystem::path& folder, const CertificateOptions& options);

}  // namespace atelier::auth
