// One connection from its handshake to its end: request after request, each answered before the next is read.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "http/router.h"
#include "http/server.h"
#include "http/transport.h"
#include "http/worker_pool.h"

namespace atelier::http {

// What every session of a server uses; outlives them all.
struct SessionParts {
  const Server::Options& options;
  const Router& router;
  WorkerPool& handlers;
  WorkerPool& stream_handlers;
  const std::atomic<bool>& stopping;  // set before stop_soon(): no session begins another request
};

class Session {
 public:
  // Serves until the connection ends and calls `on_end` once, as the last thing.
  static std::shared_ptr<Session> start(const SessionParts& parts, std::unique_ptr<Connection> connection,
                                        std::function<void()> on_end);
  ~Session();

  // Ends the session after the request under way, at once when there is none. Any thread.
  void stop_soon();
  // Closes the socket: reads and writes fail; a handler that runs is waited for. Any thread.
  void cut();

 private:
  class Impl;

  explicit Session(std::shared_ptr<Impl> impl);

  std::shared_ptr<Impl> impl_;  // shared with the coroutine
};

}  // namespace atelier::http
