// Which handler answers a method and path. Filled before the server starts, read by all threads afterwards.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/message.h"

namespace atelier::http {

// May block: runs on the server's bounded pool. Must not throw; if it does the client gets 500 without detail.
using Handler = std::function<Response(Request&)>;

enum class BodyKind {
  kBuffered,  // Request::body holds it all before the handler starts
  kStream,    // the handler pulls from Request::stream
};

struct Route {
  std::string method{};   // upper case; GET answers HEAD too, unless HEAD has its own route
  std::string pattern{};  // "/subscriptions/{s}/resourceGroups/{rg}": literals match in any case; "{rest...}" at the
                          // end takes one or more segments
  Handler handler{};
  BodyKind body = BodyKind::kBuffered;
  std::size_t body_bytes_max = 1 << 20;  // above it: 413
};

// Shapes everything that is refused before, around or instead of a handler.
using Refuse = std::function<Response(const Request&, const Refusal&)>;
// Asked for GET and HEAD paths that no route knows, before they are refused with 404; nullopt refuses.
using Fallback = std::function<std::optional<Response>(Request&)>;

class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  // A literal segment wins over a {name}, a {name} over {rest...}. Two routes of one method and shape are a bug.
  void add(Route route);
  // http::refuse() until set.
  void set_refuse(Refuse refuse);
  void set_fallback(Fallback fallback);

  // Every route in the order added; the OpenAPI document is made from it.
  const std::vector<std::unique_ptr<Route>>& routes() const;

  // Splits request.target into path and query. kInvalidArgument for what is no path: a bad percent escape, an encoded
  // slash, NUL or control character, "." or ".." as a segment, invalid UTF-8.
  static Status parse_target(Request& request);
  // The route for request.method and request.path; fills request.params. nullptr when there is none: then `refusal` is
  // 404 or 405.
  const Route* match(Request& request, Refusal& refusal) const;
  // match() and the handler, the fallback or the refusal, for a request with its path parsed and body at hand.
  Response dispatch(Request& request) const;
  // The steps of dispatch() for the server, which reads the body between them.
  Response run(const Route& route, Request& request) const;
  Response answer_unmatched(Request& request, const Refusal& refusal) const;
  Response refused(const Request& request, const Refusal& refusal) const;

 private:
  struct Node;

  std::unique_ptr<Node> root_;
  std::vector<std::unique_ptr<Route>> routes_;
  Refuse refuse_;
  Fallback fallback_;
};

}  // namespace atelier::http
