// The bytes of one request become its head and its body. Pure: no socket, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>

#include "http/message.h"

namespace atelier::http {

class RequestParser {
 public:
  struct Limits {
    std::size_t header_bytes_max = 32 << 10;
    std::size_t target_bytes_max = 8 << 10;
  };

  explicit RequestParser(Limits limits);
  ~RequestParser();

  // How many of `input`'s bytes were used up; those that were not come first in the next call, with more behind them.
  // After a refusal the connection is of no use: where the next request would begin is unknown.
  std::expected<std::size_t, Refusal> put_head(std::span<const char> input);
  bool head_done() const;
  // Moves method, target, headers and base_url out, once, after head_done(). Refuses a head that is well-formed but
  // cannot be served: no Host, an Expect or Transfer-Encoding that we do not know.
  std::expected<void, Refusal> take_head(Request& request, std::string_view scheme);

  // After take_head():
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }
  std::optional<std::uint64_t> content_length() const { return content_length_; }
  bool body_done() const;

  struct Piece {
    std::size_t used = 0;  // bytes of the input
    std::size_t made = 0;  // bytes of the body, at the front of the output
  };
  // With nothing used and nothing made, more input is needed.
  std::expected<Piece, Refusal> put_body(std::span<const char> input, std::span<std::byte> output);

 private:
  struct Beast;

  Limits limits_;
  std::unique_ptr<Beast> beast_;
  bool keep_alive_ = false;
  bool expects_continue_ = false;
  std::optional<std::uint64_t> content_length_;
};

}  // namespace atelier::http
