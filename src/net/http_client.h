// HTTP requests to somebody else's server, over libcurl: bounded answers, streamed uploads and downloads, retries that
// end. No redirects are followed; only http and https.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace atelier::net {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Part of an open file as a request's body. The descriptor is the caller's and stays open; its position is not used.
struct FileRange {
  int descriptor = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Takes the next bytes of a body; an error ends the request with it.
using Sink = std::function<Status(std::span<const std::byte> bytes)>;

struct Request {
  std::string method = "GET";
  std::string url{};
  Headers headers{};
  std::string bearer{};  // a token for Authorization, "" for none
  std::string body{};
  std::optional<FileRange> upload{};  // instead of body
  // Gets the body of a 2xx answer as it comes; bodies of other answers are in Response::body as ever.
  Sink sink{};
  std::size_t body_bytes_max = 8 << 20;  // of Response::body; above it kTooLarge
  // For the whole request; zero for none, which suits streams: a stalled one ends by Options::stall_timeout.
  std::chrono::milliseconds timeout{60000};
  // Called with the bytes of the body sent so far, from the calling thread. After a retry it begins anew.
  std::function<void(std::uint64_t bytes)> on_sent{};
  std::stop_token stop{};  // kCanceled soon after
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;

  // Name compared without case; "" when absent.
  std::string_view header(std::string_view name) const;
};

class HttpClient {
 public:
  struct Options {
    std::filesystem::path ca_file{};  // PEM; empty: the system's authorities
    std::string user_agent = "atelier";
    std::chrono::milliseconds connect_timeout{10000};
    std::chrono::seconds stall_timeout{60};  // with less than a byte a second: kUnavailable
    // Of GET, HEAD, PUT and DELETE when the answer is 429 or 503 or the connection is refused or lost.
    unsigned retries_max = 4;
    std::chrono::milliseconds retry_wait_first{250};  // doubles each time; Retry-After counts instead when given
    std::chrono::milliseconds retry_wait_max{10000};
  };

  // kNotFound when there is no CA file at that place. The first call makes the process ignore SIGPIPE.
  static Result<std::unique_ptr<HttpClient>> open(Options options);
  ~HttpClient();

  // Any thread; connections are kept open and reused. Every answer, 404 and 500 too, is a Response. Fails with
  // kUnavailable when there is no answer, kUnauthenticated when the server's certificate is not trusted,
  // kInvalidArgument for a URL that is none, kTooLarge, kCanceled, or with the sink's own error.
  Result<Response> send(const Request& request);

 private:
  class Impl;

  explicit HttpClient(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// Escapes all but unreserved characters: for one segment of a path or one value of a query.
std::string percent_encode(std::string_view text);

}  // namespace atelier::net
