// One request and its response, as handlers see them. No Beast, no sockets: tests make requests by hand.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace atelier::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Name compared without case; the first one counts. "" when absent.
std::string_view find_header(const Headers& headers, std::string_view name);

// Fills the front of `buffer` and says how many bytes; 0 is the end. Blocks.
using ByteSource = std::function<Result<std::size_t>(std::span<std::byte> buffer)>;

// The body of a request on its way in. read() pulls from the connection, so a slow reader slows the sender down and
// nothing piles up in memory. For the handler's thread only, and only until the handler returns.
class BodyReader {
 public:
  BodyReader(ByteSource source, std::optional<std::uint64_t> length) : source_(std::move(source)), length_(length) {}

  // Up to buffer.size() bytes; 0 at the end of a whole body. Fails with kUnavailable when the connection was cut or the
  // sender fell silent, kInvalidArgument when the framing is broken, kTooLarge above the route's bound. After a failure
  // every read fails: what came so far is not the whole body.
  Result<std::size_t> read(std::span<std::byte> buffer) { return source_(buffer); }
  // Content-Length, when the sender gave one.
  std::optional<std::uint64_t> length() const { return length_; }

 private:
  ByteSource source_;
  std::optional<std::uint64_t> length_;
};

struct Request {
  std::string id;      // names this request in the log and in the header x-ms-request-id
  std::string method;  // as sent: "GET"
  std::string target;  // as sent, query string included: may hold secrets, never log it
  std::string path;    // without the query, percent-decoded; holds no encoded slash, no "..", no control character
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;
  std::string body;                           // the whole body on routes with BodyKind::kBuffered
  BodyReader* stream = nullptr;               // on routes with BodyKind::kStream
  std::string remote_address;                 // "127.0.0.1:50312"
  std::map<std::string, std::string> params;  // the pattern's {names}, decoded, in the case they were sent in
  std::string base_url;                       // "https://127.0.0.1:8443": scheme and Host as the client wrote them

  std::string_view header(std::string_view name) const { return find_header(headers, name); }
  // The first parameter of that name, compared without case, e.g. "api-version" or "$expand".
  std::optional<std::string> query_value(std::string_view name) const;
  // The value of a {name} of the route's pattern. A name that the pattern does not have is a bug.
  const std::string& param(std::string_view name) const;
};

// A body that is made while it is sent. `read` is called on the server's pool, never on two threads at once, and must
// give exactly `length` bytes; less cuts the connection, so that the client sees an error and not a short body.
struct BodySource {
  std::uint64_t length = 0;
  ByteSource read;
};

struct Response {
  int status = 200;
  Headers headers;  // Content-Length, Date, Connection and x-ms-request-id are the server's
  std::string body;
  std::optional<BodySource> source;  // instead of body

  // Sets or replaces a header; control characters in the value are dropped.
  Response& set_header(std::string_view name, std::string_view value);
  std::string_view header(std::string_view name) const { return find_header(headers, name); }

  static Response json(int status, const json::value& value);
  static Response text(int status, std::string_view text, std::string_view content_type = "text/plain; charset=utf-8");
  static Response empty(int status) { return {.status = status, .headers = {}, .body = {}, .source = {}}; }
  // A regular file or `length` bytes of it from `offset`, streamed in constant memory. The file is opened now:
  // kNotFound when there is none. Content-Type is the caller's.
  struct FileRange {
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length{};  // absent: to the end
  };
  static Result<Response> file(const std::filesystem::path& path) { return file(path, FileRange()); }
  static Result<Response> file(const std::filesystem::path& path, FileRange range);
};

// Why a request is turned away before or around its handler.
struct Refusal {
  int status = 400;       // 400 404 405 408 413 414 417 431 500 503
  std::string code{};     // PascalCase: "NotFound", "PayloadTooLarge"
  std::string message{};  // for a person, without a host path or secret
  std::string allow{};    // for 405: "GET, HEAD, PUT"
};

// {"error":{"code":…,"message":…}} with Allow (405) and Retry-After (503) where they belong.
Response refuse(const Refusal& refusal);

}  // namespace atelier::http
