#include "http/transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/log.h"

namespace atelier::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;

constexpr std::size_t kWritePieceBytes = 256 << 10;
constexpr std::chrono::milliseconds kLinger{2000};
constexpr std::size_t kLingerBytesMax = 64 << 20;

Status load_tls(asio::ssl::context& context, const TlsFiles& files) {
  error_code error;
  context.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                          asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1 |
                          SSL_OP_NO_RENEGOTIATION,
                      error);
  SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);
  context.use_certificate_chain_file(files.certificate_chain.string(), error);
  if (error) {
    return fail(Code::kInvalidArgument,
                fmt::format("Cannot use the certificate {}: {}.", files.certificate_chain.string(), error.message()));
  }
  context.use_private_key_file(files.private_key.string(), asio::ssl::context::pem, error);
  if (error) {
    return fail(Code::kInvalidArgument,
                fmt::format("Cannot use the private key {}: {}.", files.private_key.string(), error.message()));
  }
  if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
    return fail(Code::kInvalidArgument, fmt::format("The private key {} does not belong to the certificate {}.",
                                                    files.private_key.string(), files.certificate_chain.string()));
  }
  return {};
}

}  // namespace

// Shared, because a deadline that has passed already may run after the connection is gone.
struct Connection::Streams : std::enable_shared_from_this<Connection::Streams> {
  Streams(tcp::socket socket, asio::ssl::context* tls) : executor(socket.get_executor()), deadline(executor) {
    if (tls) {
      stream.emplace<TlsStream>(std::move(socket), *tls);
    } else {
      stream.emplace<tcp::socket>(std::move(socket));
    }
  }

  tcp::socket& socket() {
    if (auto* tls = std::get_if<TlsStream>(&stream)) return tls->next_layer();
    return std::get<tcp::socket>(stream);
  }

  // Ends the operation that starts now after `timeout`. The number tells a late timer that its operation is over.
  void arm(std::chrono::milliseconds timeout) {
    const std::uint64_t number = ++operation;
    running = true;
    timed_out = false;
    interrupted = false;
    deadline.expires_after(timeout);
    deadline.async_wait([self = weak_from_this(), number](const error_code& error) {
      const auto streams = self.lock();
      if (error || !streams || number != streams->operation || !streams->running) return;
      streams->timed_out = true;
      error_code ignored;
      streams->socket().cancel(ignored);
    });
  }

  IoEnd disarm(const error_code& error) {
    running = false;
    ++operation;
    deadline.cancel();
    if (!error) return IoEnd::kDone;
    if (timed_out) return IoEnd::kTimedOut;
    if (interrupted) return IoEnd::kInterrupted;
    return IoEnd::kClosed;
  }

  asio::any_io_executor executor;
  std::variant<std::monostate, tcp::socket, TlsStream> stream;
  asio::steady_timer deadline;
  std::string remote;
  std::uint64_t operation = 0;
  bool running = false;
  bool timed_out = false;
  bool interrupted = false;
};

Connection::Connection(std::shared_ptr<Streams> streams) : streams_(std::move(streams)) {}
Connection::~Connection() = default;

const asio::any_io_executor& Connection::executor() const { return streams_->executor; }
const std::string& Connection::remote_address() const { return streams_->remote; }
std::string_view Connection::scheme() const {
  return std::holds_alternative<TlsStream>(streams_->stream) ? "https" : "http";
}

Awaitable<IoEnd> Connection::handshake(std::chrono::milliseconds timeout) {
  auto* tls = std::get_if<TlsStream>(&streams_->stream);
  if (!tls) co_return IoEnd::kDone;
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  streams_->arm(timeout);
  co_await tls->async_handshake(asio::ssl::stream_base::server, token);
  co_return streams_->disarm(error);
}

Awaitable<IoResult> Connection::read_some(std::span<char> buffer, std::chrono::milliseconds timeout) {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const auto target = asio::buffer(buffer.data(), buffer.size());
  std::size_t bytes = 0;
  streams_->arm(timeout);
  if (auto* tls = std::get_if<TlsStream>(&streams_->stream)) {
    bytes = co_await tls->async_read_some(target, token);
  } else {
    bytes = co_await std::get<tcp::socket>(streams_->stream).async_read_some(target, token);
  }
  const IoEnd end = streams_->disarm(error);
  co_return IoResult{end, bytes};
}

Awaitable<IoEnd> Connection::write_all(std::string_view bytes, std::chrono::milliseconds timeout) {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  auto* tls = std::get_if<TlsStream>(&streams_->stream);
  while (!bytes.empty()) {
    const auto piece = asio::buffer(bytes.data(), std::min(bytes.size(), kWritePieceBytes));
    std::size_t written = 0;
    streams_->arm(timeout);
    if (tls) {
      written = co_await tls->async_write_some(piece, token);
    } else {
      written = co_await std::get<tcp::socket>(streams_->stream).async_write_some(piece, token);
    }
    const IoEnd end = streams_->disarm(error);
    if (end != IoEnd::kDone) co_return end;
    bytes.remove_prefix(written);
  }
  co_return IoEnd::kDone;
}

Awaitable<void> Connection::close() {
  error_code ignored;
  if (!std::holds_alternative<TlsStream>(streams_->stream))
    streams_->socket().shutdown(tcp::socket::shutdown_send, ignored);
  std::string dropped(16 << 10, '\0');
  const auto end_at = std::chrono::steady_clock::now() + kLinger;
  for (std::size_t total = 0; total < kLingerBytesMax;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_at - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    const std::span<char> buffer(dropped);
    const IoResult got = co_await read_some(buffer, left);
    if (got.end != IoEnd::kDone) break;
    total += got.bytes;
  }
  cut();
}

void Connection::interrupt() {
  if (!streams_->running) return;
  streams_->interrupted = true;
  error_code ignored;
  streams_->socket().cancel(ignored);
}

void Connection::cut() {
  error_code ignored;
  streams_->socket().close(ignored);
}

struct Listener::Parts {
  explicit Parts(asio::io_context& io)
      : context(io), executor(asio::make_strand(io)), acceptor(executor), pause(executor) {}

  asio::io_context& context;
  asio::any_io_executor executor;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::optional<asio::ssl::context> tls;
};

Listener::Listener(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Listener::~Listener() = default;

Result<std::unique_ptr<Listener>> Listener::open(asio::io_context& context, const Server::Options& options) {
  auto parts = std::make_unique<Parts>(context);
  if (options.tls) {
    parts->tls.emplace(asio::ssl::context::tls_server);
    TRY(load_tls(*parts->tls, *options.tls));
  }
  error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error)
    return fail(Code::kInvalidArgument, fmt::format("'{}' is not an IP address to listen on.", options.address));
  const tcp::endpoint endpoint(address, options.port);
  parts->acceptor.open(endpoint.protocol(), error);
  if (!error) parts->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) parts->acceptor.bind(endpoint, error);
  if (!error) parts->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return fail(Code::kUnavailable,
                fmt::format("Cannot listen on {} port {}: {}. Choose another port or stop what uses it.",
                            options.address, options.port, error.message()));
  }
  return std::unique_ptr<Listener>(new Listener(std::move(parts)));
}

std::uint16_t Listener::port() const {
  error_code ignored;
  return parts_->acceptor.local_endpoint(ignored).port();
}

const asio::any_io_executor& Listener::executor() const { return parts_->executor; }

void Listener::close() {
  asio::post(parts_->executor, [this] {
    error_code ignored;
    parts_->acceptor.close(ignored);
    parts_->pause.cancel();
  });
}

Awaitable<std::unique_ptr<Connection>> Listener::accept() {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  while (parts_->acceptor.is_open()) {
    auto strand = asio::make_strand(parts_->context);
    tcp::socket socket(strand);
    co_await parts_->acceptor.async_accept(socket, token);
    if (!error) {
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      const tcp::endpoint remote = socket.remote_endpoint(ignored);
      auto* tls = parts_->tls ? &*parts_->tls : nullptr;
      auto streams = std::make_shared<Connection::Streams>(std::move(socket), tls);
      streams->remote = fmt::format("{}:{}", remote.address().to_string(), remote.port());
      co_return std::unique_ptr<Connection>(new Connection(std::move(streams)));
    }
    if (error == asio::error::operation_aborted) break;
    log::warning("cannot accept a connection: {}", error.message());
    parts_->pause.expires_after(std::chrono::milliseconds(100));
    co_await parts_->pause.async_wait(token);
  }
  co_return nullptr;
}

}  // namespace atelier::http
