// An HTTP/1.1 server, with or without TLS. Sockets are served by a few threads without blocking; handlers block on a
// bounded pool of their own. A client's mistake is always answered with 4xx.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "http/router.h"

namespace atelier::http {

struct TlsFiles {
  std::filesystem::path certificate_chain;  // PEM, the server's certificate first
  std::filesystem::path private_key;        // PEM
};

class Server {
 public:
  struct Options {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;         // 0: any free one, see port()
    std::optional<TlsFiles> tls{};  // absent: plain HTTP

    std::size_t io_threads = 2;
    std::size_t handler_threads = 16;        // for routes with buffered bodies, and for sending files
    std::size_t handlers_waiting_max = 512;  // above it: 503 with Retry-After
    std::size_t stream_threads = 16;         // for routes with streamed bodies; the same number may wait, then 503
    std::size_t connections_max = 4096;      // above it new ones are closed at once

    std::size_t header_bytes_max = 32 << 10;  // 431
    std::size_t target_bytes_max = 8 << 10;   // 414

    std::chrono::milliseconds handshake_timeout{10000};
    std::chrono::milliseconds header_timeout{10000};  // from the first byte of a request to the end of its header: 408
    std::chrono::milliseconds idle_timeout{75000};    // between requests
    // A body may take body_timeout plus a second for every body_bytes_per_second_min received; time in which the
    // handler does not read is not counted. 408.
    std::chrono::milliseconds body_timeout{30000};
    std::size_t body_bytes_per_second_min = 4096;
    std::chrono::milliseconds write_timeout{60000};  // for each piece of up to 256 KiB
    std::chrono::milliseconds stop_grace{10000};     // for requests under way at stop()
  };

  // Listens and serves until stop(). Fails with kUnavailable when the port is taken, kInvalidArgument when the address
  // or the certificate cannot be used.
  static Result<std::unique_ptr<Server>> start(Options options, Router router);
  ~Server();  // stop()

  std::uint16_t port() const;
  // Connections open now.
  std::size_t connections() const;
  // Accepts no more, lets requests under way finish within stop_grace, then cuts them; returns when no handler runs.
  // Handlers that block longer than that are waited for. May be called twice; not from a handler.
  void stop();

 private:
  class Impl;

  explicit Server(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::http
