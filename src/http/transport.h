// Sockets with or without TLS behind one shape, so that the templates of Asio are made in one source. The awaitables
// are only declared here; the sources that await them include Asio.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/server.h"

namespace boost::asio {
class any_io_executor;
class io_context;
template <typename T, typename Executor>
class awaitable;
}  // namespace boost::asio

namespace atelier::http {

template <typename T>
using Awaitable = boost::asio::awaitable<T, boost::asio::any_io_executor>;

enum class IoEnd {
  kDone,
  kClosed,    // by the other side, or failed
  kTimedOut,  // the connection is still usable for writing
  kInterrupted,
};

struct IoResult {
  IoEnd end = IoEnd::kDone;
  std::size_t bytes = 0;
};

// One accepted connection. All calls on its own executor (a strand), one read or write at a time.
class Connection {
 public:
  ~Connection();

  Awaitable<IoEnd> handshake(std::chrono::milliseconds timeout);  // TLS only; done at once without
  Awaitable<IoResult> read_some(std::span<char> buffer, std::chrono::milliseconds timeout);
  Awaitable<IoEnd> write_all(std::string_view bytes, std::chrono::milliseconds timeout);
  // Says goodbye and closes. Reads and drops what still comes for a moment first: closing with unread bytes would make
  // the kernel send a reset that can destroy our last response on its way.
  Awaitable<void> close();

  // Makes the read or write that is waiting now end with kInterrupted.
  void interrupt();
  // Closes the socket: everything ends with kClosed from now on.
  void cut();

  const boost::asio::any_io_executor& executor() const;
  const std::string& remote_address() const;
  std::string_view scheme() const;  // "http" or "https"

 private:
  friend class Listener;
  struct Streams;

  explicit Connection(std::shared_ptr<Streams> streams);

  std::shared_ptr<Streams> streams_;
};

class Listener {
 public:
  static Result<std::unique_ptr<Listener>> open(boost::asio::io_context& context, const Server::Options& options);
  ~Listener();

  std::uint16_t port() const;
  // The next connection; nullptr after close(). Waits out a lack of file descriptors.
  Awaitable<std::unique_ptr<Connection>> accept();
  // From any thread.
  void close();
  const boost::asio::any_io_executor& executor() const;

 private:
  struct Parts;

  explicit Listener(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace atelier::http
