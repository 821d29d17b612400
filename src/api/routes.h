// Every route of the service, in one table (routes.cpp).
#pragma once

#include <cstdint>
#include <string>

#include "api/context.h"
#include "http/router.h"

namespace atelier::api {

// `context` outlives the router.
void add_routes(http::Router& router, Context& context);

// For the route files: adds ARM routes, i.e. ones that ask for a bearer token and an api-version and shape their
// errors.
class ArmRoutes {
 public:
  ArmRoutes(http::Router& router, Context& context) : router_(router), context_(context) {}

  struct Options {
    bool needs_api_version = true;  // operation results are asked for without one by some clients
    std::uint64_t body_bytes_max = 1 << 20;
  };
  // `pattern` as http::Route has it; a leading "{group}" stands for "/subscriptions/{s}/resourceGroups/{rg}/providers",
  // a leading "{subscription}" for "/subscriptions/{s}".
  void add(const std::string& method, const std::string& pattern, Handler handler);
  void add(const std::string& method, const std::string& pattern, Handler handler, Options options);

  http::Router& router() { return router_; }
  Context& context() { return context_; }

 private:
  http::Router& router_;
  Context& context_;
};

// Lab plans, their images, labs, virtual machines, sizes: lab_routes.cpp.
void add_lab_routes(ArmRoutes& routes);

}  // namespace atelier::api
