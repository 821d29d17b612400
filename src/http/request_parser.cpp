#include "http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <string>
#include <utility>

#include "base/text.h"

namespace atelier::http {
namespace {

namespace beast = boost::beast;

Refusal bad_request(std::string message) {
  return {.status = 400, .code = "BadRequest", .message = std::move(message)};
}

Refusal refusal_for(const beast::error_code& error) {
  if (error == beast::http::error::header_limit) {
    return {.status = 431,
            .code = "RequestHeaderFieldsTooLarge",
            .message = "The request's header is too large. Send fewer or shorter header fields."};
  }
  return bad_request("This is not well-formed HTTP/1.1: " + error.message() + ".");
}

bool is_host(std::string_view text) {
  constexpr std::string_view kMarks = ".:-_[]";
  return !text.empty() && text.size() < 300 &&
         std::ranges::all_of(
             text,
             [&](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kMarks.contains(c);
             });
}

// Needing room or more input is no failure.
bool is_failure(const beast::error_code& error) {
  return error && error != beast::http::error::need_more && error != beast::http::error::need_buffer;
}

}  // namespace

struct RequestParser::Beast {
  beast::http::request_parser<beast::http::buffer_body> parser;
};

RequestParser::RequestParser(Limits limits) : limits_(limits), beast_(std::make_unique<Beast>()) {
  beast_->parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
  beast_->parser.body_limit(boost::none);  // the session counts, because the bound is the route's
  beast_->parser.eager(false);
}

RequestParser::~RequestParser() = default;

std::expected<std::size_t, Refusal> RequestParser::put_head(std::span<const char> input) {
  beast::error_code error;
  const std::size_t used = beast_->parser.put(boost::asio::buffer(input.data(), input.size()), error);
  if (is_failure(error)) return std::unexpected(refusal_for(error));
  // Beast counts a line only when it is whole: a line without an end must not grow for ever.
  if (!beast_->parser.is_header_done() && input.size() - used > limits_.header_bytes_max) {
    return std::unexpected(refusal_for(beast::http::make_error_code(beast::http::error::header_limit)));
  }
  return used;
}

bool RequestParser::head_done() const { return beast_->parser.is_header_done(); }
bool RequestParser::body_done() const { return beast_->parser.is_done(); }

std::expected<void, Refusal> RequestParser::take_head(Request& request, std::string_view scheme) {
  auto& parser = beast_->parser;
  auto& message = parser.get();
  keep_alive_ = parser.keep_alive();
  if (const auto length = parser.content_length()) content_length_ = *length;
  request.method = std::string_view(message.method_string());
  request.target = std::string_view(message.target());
  std::size_t hosts = 0;
  for (const auto& field : message) {
    const std::string_view name(field.name_string());
    const std::string_view value(field.value());
    if (equals_ignoring_case(name, "Host")) ++hosts;
    request.headers.emplace_back(name, value);
  }
  if (request.target.size() > limits_.target_bytes_max) {
    return std::unexpected(Refusal{.status = 414,
                                   .code = "UriTooLong",
                                   .message = "The request's target is too long. Shorten its path or its query."});
  }
  const std::string_view host = request.header("Host");
  if (message.version() >= 11 && (hosts != 1 || !is_host(host))) {
    return std::unexpected(bad_request("The request needs exactly one Host header with a host name and a port."));
  }
  if (is_host(host)) request.base_url = std::string(scheme) + "://" + std::string(host);
  const std::string_view coding = request.header("Transfer-Encoding");
  if (!coding.empty() && !equals_ignoring_case(coding, "chunked")) {
    return std::unexpected(bad_request("The only Transfer-Encoding taken is chunked."));
  }
  const std::string_view expectation = request.header("Expect");
  expects_continue_ = equals_ignoring_case(expectation, "100-continue");
  if (!expectation.empty() && !expects_continue_) {
    return std::unexpected(
        Refusal{.status = 417, .code = "ExpectationFailed", .message = "The only Expect taken is 100-continue."});
  }
  parser.eager(true);
  return {};
}

std::expected<RequestParser::Piece, Refusal> RequestParser::put_body(std::span<const char> input,
                                                                     std::span<std::byte> output) {
  auto& body = beast_->parser.get().body();
  body.data = output.data();
  body.size = output.size();
  body.more = true;
  beast::error_code error;
  const std::size_t used = beast_->parser.put(boost::asio::buffer(input.data(), input.size()), error);
  if (is_failure(error)) return std::unexpected(refusal_for(error));
  return Piece{.used = used, .made = output.size() - body.size};
}

}  // namespace atelier::http
