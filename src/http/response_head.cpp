#include "http/response_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>

#include "base/text.h"

namespace atelier::http {
namespace {

struct Reason {
  int status;
  std::string_view words;
};

constexpr std::array kReasons = {
    Reason{100, "Continue"},
    Reason{200, "OK"},
    Reason{201, "Created"},
    Reason{202, "Accepted"},
    Reason{204, "No Content"},
    Reason{206, "Partial Content"},
    Reason{302, "Found"},
    Reason{304, "Not Modified"},
    Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"},
    Reason{403, "Forbidden"},
    Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"},
    Reason{408, "Request Timeout"},
    Reason{409, "Conflict"},
    Reason{411, "Length Required"},
    Reason{412, "Precondition Failed"},
    Reason{413, "Payload Too Large"},
    Reason{414, "URI Too Long"},
    Reason{415, "Unsupported Media Type"},
    Reason{416, "Range Not Satisfiable"},
    Reason{417, "Expectation Failed"},
    Reason{429, "Too Many Requests"},
    Reason{431, "Request Header Fields Too Large"},
    Reason{500, "Internal Server Error"},
    Reason{501, "Not Implemented"},
    Reason{503, "Service Unavailable"},
    Reason{507, "Insufficient Storage"},
};

constexpr std::array<std::string_view, 4> kOwnFields = {"Content-Length", "Transfer-Encoding", "Connection", "Date"};

std::string_view reason_of(int status) {
  const auto found = std::ranges::find(kReasons, status, &Reason::status);
  return found == kReasons.end() ? "Status" : found->words;
}

std::string http_date() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), length};
}

bool is_own_field(std::string_view name) {
  return std::ranges::any_of(kOwnFields, [&](std::string_view own) { return equals_ignoring_case(own, name); });
}

}  // namespace

bool has_body(int status) { return status >= 200 && status != 204 && status != 304; }

std::string response_head(const Response& response, std::string_view request_id,
                          std::optional<std::uint64_t> content_length, AfterResponse after) {
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status, reason_of(response.status), http_date());
  const auto out = std::back_inserter(head);
  for (const auto& [name, value] : response.headers) {
    if (!is_own_field(name)) fmt::format_to(out, "{}: {}\r\n", name, value);
  }
  if (response.header("x-ms-request-id").empty()) fmt::format_to(out, "x-ms-request-id: {}\r\n", request_id);
  if (response.header("X-Content-Type-Options").empty()) head += "X-Content-Type-Options: nosniff\r\n";
  if (content_length) fmt::format_to(out, "Content-Length: {}\r\n", *content_length);
  if (after == AfterResponse::kClose) head += "Connection: close\r\n";
  head += "\r\n";
  return head;
}

}  // namespace atelier::http
