#include "http/router.h"

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "http/target.h"

namespace atelier::http {
namespace {

struct Endpoint {
  const Route* route = nullptr;
  std::vector<std::string> names;  // of the parameters, in the order of the path
};

// "/a//b/" gives a, "", b: one slash at the end counts for nothing.
std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.ends_with('/')) path.remove_suffix(1);
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    segments.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return segments;
}

}  // namespace

struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;  // keys in lower case
  std::unique_ptr<Node> parameter;
  std::map<std::string, Endpoint, std::less<>> endpoints;       // by method
  std::map<std::string, Endpoint, std::less<>> rest_endpoints;  // by method, for one or more segments from here
};

namespace {

// One walk down the tree for one request. Keeps the methods seen, for Allow.
template <typename Node>
class Search {
 public:
  Search(std::string_view method, const std::vector<std::string_view>& segments)
      : method_(method), segments_(segments) {}

  const Endpoint* walk(const Node& node, std::size_t depth) {
    if (depth == segments_.size()) return pick(node.endpoints);
    const std::string_view segment = segments_[depth];
    if (const auto literal = node.literals.find(to_lower(segment)); literal != node.literals.end()) {
      if (const Endpoint* found = walk(*literal->second, depth + 1)) return found;
    }
    if (node.parameter && !segment.empty()) {
      values_.emplace_back(segment);
      if (const Endpoint* found = walk(*node.parameter, depth + 1)) return found;
      values_.pop_back();
    }
    if (const Endpoint* found = pick(node.rest_endpoints)) {
      std::string rest;
      for (std::size_t i = depth; i < segments_.size(); ++i) {
        if (i > depth) rest += '/';
        rest += segments_[i];
      }
      values_.push_back(std::move(rest));
      return found;
    }
    return nullptr;
  }

  const std::vector<std::string>& values() const { return values_; }
  const std::set<std::string>& methods() const { return methods_; }

 private:
  const Endpoint* pick(const std::map<std::string, Endpoint, std::less<>>& endpoints) {
    for (const auto& [name, endpoint] : endpoints) {
      methods_.insert(name);
      if (name == "GET") methods_.insert("HEAD");
    }
    auto found = endpoints.find(method_);
    if (found == endpoints.end() && method_ == "HEAD") found = endpoints.find("GET");
    return found == endpoints.end() ? nullptr : &found->second;
  }

  std::string_view method_;
  const std::vector<std::string_view>& segments_;
  std::vector<std::string> values_;
  std::set<std::string> methods_;
};

}  // namespace

Router::Router()
    : root_(std::make_unique<Node>()), refuse_([](const Request&, const Refusal& r) { return refuse(r); }) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::add(Route route) {
  CHECK(route.pattern.starts_with('/') && route.handler);
  const Route& kept = *routes_.emplace_back(std::make_unique<Route>(std::move(route)));
  Endpoint endpoint{.route = &kept, .names = {}};
  Node* node = root_.get();
  bool takes_rest = false;
  for (const std::string_view segment : split(kept.pattern)) {
    CHECK(!takes_rest);
    if (!segment.starts_with('{')) {
      auto& child = node->literals[to_lower(segment)];
      if (!child) child = std::make_unique<Node>();
      node = child.get();
      continue;
    }
    CHECK(segment.ends_with('}') && segment.size() > 2);
    std::string_view name = segment.substr(1, segment.size() - 2);
    if (name.ends_with("...")) {
      takes_rest = true;
      name.remove_suffix(3);
    } else {
      if (!node->parameter) node->parameter = std::make_unique<Node>();
      node = node->parameter.get();
    }
    endpoint.names.emplace_back(name);
  }
  auto& endpoints = takes_rest ? node->rest_endpoints : node->endpoints;
  const bool is_new = endpoints.emplace(kept.method, std::move(endpoint)).second;
  CHECK(is_new);
}

void Router::set_refuse(Refuse refuse) { refuse_ = std::move(refuse); }
void Router::set_fallback(Fallback fallback) { fallback_ = std::move(fallback); }
const std::vector<std::unique_ptr<Route>>& Router::routes() const { return routes_; }

Status Router::parse_target(Request& request) {
  request.path = TRY(decode_path(request.target));
  request.query = TRY(decode_query(request.target));
  return {};
}

const Route* Router::match(Request& request, Refusal& refusal) const {
  request.params.clear();
  const auto segments = split(request.path);
  Search<Node> search(request.method, segments);
  const Endpoint* found = search.walk(*root_, 0);
  if (found) {
    for (std::size_t i = 0; i < found->names.size(); ++i) request.params[found->names[i]] = search.values()[i];
    return found->route;
  }
  if (search.methods().empty()) {
    refusal = {.status = 404, .code = "NotFound", .message = "Nothing answers at this path. Check it."};
    return nullptr;
  }
  std::string allow;
  for (const std::string& method : search.methods()) allow += (allow.empty() ? "" : ", ") + method;
  refusal = {.status = 405,
             .code = "MethodNotAllowed",
             .message = "This path does not take that method. It takes: " + allow + ".",
             .allow = std::move(allow)};
  return nullptr;
}

Response Router::dispatch(Request& request) const {
  Refusal refusal;
  const Route* route = match(request, refusal);
  return route ? run(*route, request) : answer_unmatched(request, refusal);
}

Response Router::run(const Route& route, Request& request) const {
  try {
    return route.handler(request);
  } catch (const std::exception& thrown) {
    log::error("request {}: {} {} threw: {}", request.id, route.method, route.pattern, thrown.what());
  } catch (...) {
    log::error("request {}: {} {} threw something", request.id, route.method, route.pattern);
  }
  return refused(request, {.status = 500,
                           .code = "InternalServerError",
                           .message = "The server failed to answer. Its log has the details under request id " +
                                      request.id + "."});
}

Response Router::answer_unmatched(Request& request, const Refusal& refusal) const {
  if (fallback_ && refusal.status == 404 && (request.method == "GET" || request.method == "HEAD")) {
    const Route fallback{.method = request.method, .pattern = "(fallback)", .handler = [&](Request& asked) {
                           auto answer = fallback_(asked);
                           return answer ? std::move(*answer) : refused(asked, refusal);
                         }};
    return run(fallback, request);
  }
  return refused(request, refusal);
}

Response Router::refused(const Request& request, const Refusal& refusal) const { return refuse_(request, refusal); }

}  // namespace atelier::http
