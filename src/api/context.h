// What every handler of the API may use. Made once by atelierd's main; everything in it outlives the server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "auth/principals.h"
#include "base/error.h"
#include "catalog/parts.h"

namespace atelier::auth {
class SignInLimit;
class TokenService;
class UploadSigner;
}  // namespace atelier::auth
namespace atelier::http {
struct Request;
struct Response;
}  // namespace atelier::http
namespace atelier::labs {
struct Parts;
}

namespace atelier::api {

struct Context {
  const catalog::Parts& parts;
  auth::TokenService& tokens;
  auth::SignInLimit& sign_in_limit;
  const auth::UploadSigner& upload_signer;
  const labs::Parts* labs = nullptr;  // null only in tests that touch no lab
  std::string base_url;               // "https://127.0.0.1:8443", no slash at the end; absolute URLs are made from it
  std::string tenant_id;
  std::string subscription_id;  // the one subscription this service has
  std::string subscription_name;
  std::size_t page_size = 200;                  // resources in one list answer
  std::uint64_t upload_bytes_max = 4ULL << 40;  // of one uploaded disk
};

// One authenticated request, as a handler sees it.
struct Call {
  Context& context;
  http::Request& request;
  auth::Principal principal;
  std::string api_version;

  // A {name} of the route's pattern, percent-decoded.
  const std::string& param(const std::string& name) const;
};

// Errors become ARM error bodies; see errors.h.
using Handler = std::function<Result<http::Response>(Call&)>;

}  // namespace atelier::api
