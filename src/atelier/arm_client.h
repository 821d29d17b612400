// The service's REST API as the command line uses it: signed in, with ARM's errors as Errors.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "atelier/client_config.h"
#include "atelier/client_options.h"
#include "base/error.h"
#include "base/json.h"
#include "net/http_client.h"

namespace atelier::cli {

struct ArmAnswer {
  int status = 0;
  json::object body;            // empty when there was none
  std::string operation_url{};  // where a long operation is asked about; "" when there is none
  std::string location{};
};

class ArmClient {
 public:
  // Options, then the environment (ATELIER_SERVER, ATELIER_CA, ATELIER_TOKEN), then what login kept. kUnauthenticated
  // when nobody is signed in.
  static Result<std::unique_ptr<ArmClient>> open(const ClientOptions& options);

  // `target` is a path with or without a query, or a URL the service gave: of that only path and query count, so that
  // a token goes to no other host. The api-version is added where it is missing. Answers of 400 and above are Errors
  // with the service's code as reason.
  Result<ArmAnswer> call(std::string_view method, std::string_view target, const json::object* body = nullptr);
  Result<json::object> get(std::string_view target);
  // All pages of a list, as one {"value":[…]}.
  Result<json::object> list(std::string_view target);
  // A request as it is, without the token: for signed URLs. The target as in call().
  Result<net::Response> send_signed(net::Request request);

  // "/subscriptions/…": the first one there is.
  Result<std::string> subscription();
  // "/subscriptions/…/resourceGroups/…": the one named, the default, or the only one.
  Result<std::string> resource_group();

 private:
  ArmClient(std::unique_ptr<net::HttpClient> http, ClientConfig config, std::string resource_group);

  Result<net::Response> send(std::string_view method, std::string_view target, const json::object* body);
  Status refresh();

  std::unique_ptr<net::HttpClient> http_;
  ClientConfig config_;
  std::string resource_group_name_;
  std::string subscription_;
};

// Asks for a token with the fields of an OAuth 2 form and puts it into the config.
Status request_token(net::HttpClient& http, const std::string& form, ClientConfig& config);

// The Error that an answer of 400 or more stands for.
Error error_of(int status, const json::object& body);

}  // namespace atelier::cli
