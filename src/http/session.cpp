#include "http/session.h"

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "http/input_buffer.h"
#include "http/refusals.h"
#include "http/request_parser.h"
#include "http/response_head.h"
#include "http/target.h"

// GCC 12.2 destroys some temporaries of a co_await expression twice: every value that one uses has a name here.

namespace atelier::http {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr std::size_t kHeadReadBytes = 8 << 10;
constexpr std::size_t kBodyReadBytes = 64 << 10;
constexpr std::size_t kSourcePieceBytes = 256 << 10;
constexpr std::size_t kOneWriteBytes = 64 << 10;     // head and body up to here go out together
constexpr std::uint64_t kDrainBytesMax = 256 << 10;  // unread body up to here is read to keep the connection
constexpr std::size_t kFramingBytesMax = 16 << 10;   // of a chunk's header or the trailer

Milliseconds until(Clock::time_point time) {
  return std::max(Milliseconds(1), std::chrono::duration_cast<Milliseconds>(time - Clock::now()));
}

}  // namespace

class Session::Impl : public std::enable_shared_from_this<Session::Impl> {
 public:
  Impl(const SessionParts& parts, std::unique_ptr<Connection> connection)
      : parts_(parts), connection_(std::move(connection)), wake_(connection_->executor(), Clock::time_point::max()) {}

  const asio::any_io_executor& executor() const { return connection_->executor(); }
  Awaitable<void> serve();
  void stop_soon() {
    if (waiting_for_request_) connection_->interrupt();
  }
  void cut() { connection_->cut(); }

 private:
  enum class Next { kRequest, kClose, kCut };
  // How reading a part of a request ended: whole, to be refused, or with the connection gone.
  struct ReadEnd {
    std::size_t bytes = 0;
    bool is_gone = false;
    std::optional<Refusal> refusal;

    bool is_whole() const { return !is_gone && !refusal; }
  };

  Awaitable<Next> serve_one();
  Awaitable<ReadEnd> read_head();
  Awaitable<ReadEnd> read_body_piece(std::span<std::byte> output);
  Awaitable<ReadEnd> read_whole_body(std::size_t bytes_max);
  Awaitable<void> drain_body();
  Awaitable<bool> run_on(WorkerPool& pool, const std::function<void()>& work);
  Awaitable<void> answer(const Route* route, const Refusal& refusal);
  Awaitable<Next> send(AfterResponse after);
  Awaitable<IoEnd> send_source(BodySource& source);

  Result<std::size_t> read_for_handler(std::span<std::byte> buffer);
  Milliseconds body_time_left() const;
  void log_access(Clock::time_point began) const;

  const SessionParts parts_;
  std::unique_ptr<Connection> connection_;
  asio::steady_timer wake_;  // never expires: cancelled when work on a pool is done
  InputBuffer input_;
  bool waiting_for_request_ = false;

  // Of the request under way:
  Request request_;
  Response response_;
  std::unique_ptr<RequestParser> parser_;
  bool work_done_ = false;
  bool continue_sent_ = false;
  bool body_failed_ = false;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t body_bytes_max_ = 0;
  Clock::duration body_waited_{};
  std::uint64_t sent_bytes_ = 0;
};

Awaitable<void> Session::Impl::serve() {
  const IoEnd handshake = co_await connection_->handshake(parts_.options.handshake_timeout);
  Next next = handshake == IoEnd::kDone ? Next::kRequest : Next::kCut;
  while (next == Next::kRequest && !parts_.stopping) next = co_await serve_one();
  if (next == Next::kClose) co_await connection_->close();
  connection_->cut();
}

Awaitable<Session::Impl::Next> Session::Impl::serve_one() {
  request_ = Request();
  response_ = Response();
  request_.id = new_uuid();
  request_.remote_address = connection_->remote_address();
  const auto& options = parts_.options;
  parser_ = std::make_unique<RequestParser>(RequestParser::Limits{.header_bytes_max = options.header_bytes_max,
                                                                  .target_bytes_max = options.target_bytes_max});
  continue_sent_ = body_failed_ = false;
  body_bytes_ = body_bytes_max_ = sent_bytes_ = 0;
  body_waited_ = {};

  ReadEnd end = co_await read_head();
  if (end.is_gone) co_return Next::kCut;
  const auto began = Clock::now();
  const Route* route = nullptr;
  Refusal unmatched;
  if (end.is_whole()) {
    if (auto taken = parser_->take_head(request_, connection_->scheme()); !taken) end.refusal = taken.error();
  }
  if (end.is_whole()) {
    if (auto parsed = Router::parse_target(request_); !parsed) {
      end.refusal = Refusal{.status = 400, .code = "InvalidRequestTarget", .message = parsed.error().message()};
    }
  }
  // A WebSocket upgrade would be recognised here: the connection and input_ then go to a session of their own.
  if (end.is_whole()) {
    route = parts_.router.match(request_, unmatched);
    if (route) body_bytes_max_ = route->body_bytes_max;
    if (route && parser_->content_length().value_or(0) > body_bytes_max_)
      end.refusal = refuse_too_large(route->body_bytes_max);
  }
  if (end.is_whole() && route && route->body == BodyKind::kBuffered) {
    end = co_await read_whole_body(route->body_bytes_max);
    if (end.is_gone) co_return Next::kCut;
  }
  AfterResponse after = AfterResponse::kClose;
  if (end.refusal) {
    response_ = parts_.router.refused(request_, *end.refusal);
  } else {
    co_await answer(route, unmatched);
    if (!parser_->body_done() && !body_failed_) co_await drain_body();
    const bool can_go_on = parser_->body_done() && parser_->keep_alive() && !parts_.stopping;
    if (can_go_on) after = AfterResponse::kKeepAlive;
  }
  const Next next = co_await send(after);
  log_access(began);
  co_return next;
}

Awaitable<Session::Impl::ReadEnd> Session::Impl::read_head() {
  ReadEnd end;
  std::optional<Clock::time_point> deadline;
  while (true) {
    // An empty line before a request is allowed, and some clients send one after a body.
    while (!deadline && !input_.empty() && (input_.bytes()[0] == '\r' || input_.bytes()[0] == '\n')) input_.consume(1);
    if (!input_.empty()) {
      if (!deadline) deadline = Clock::now() + parts_.options.header_timeout;
      const auto used = parser_->put_head(input_.bytes());
      if (!used) {
        end.refusal = used.error();
        // A target that fills the header by itself is the more exact complaint.
        const auto bytes = input_.bytes();
        const std::string_view text(bytes.data(), bytes.size());
        if (end.refusal->status == 431 && text.find('\n') == std::string_view::npos && text.find(' ') < 32) {
          *end.refusal = {.status = 414, .code = "UriTooLong", .message = "The request's target is too long."};
        }
        co_return end;
      }
      input_.consume(*used);
      if (parser_->head_done()) co_return end;
    }
    if (!deadline) input_.release();
    waiting_for_request_ = !deadline;
    const Milliseconds timeout = deadline ? until(*deadline) : parts_.options.idle_timeout;
    const std::span<char> room = input_.room(kHeadReadBytes);
    const IoResult got = co_await connection_->read_some(room, timeout);
    const bool was_idle = std::exchange(waiting_for_request_, false);
    if (got.end == IoEnd::kTimedOut && !was_idle) {
      end.refusal = refuse_slow();
      co_return end;
    }
    if (got.end != IoEnd::kDone) {
      end.is_gone = true;
      co_return end;
    }
    input_.commit(got.bytes);
  }
}

Milliseconds Session::Impl::body_time_left() const {
  const auto earned =
      Milliseconds(body_bytes_ * 1000 / std::max<std::size_t>(1, parts_.options.body_bytes_per_second_min));
  const auto left = parts_.options.body_timeout + earned - std::chrono::duration_cast<Milliseconds>(body_waited_);
  return std::max(Milliseconds(1), left);
}

// Fills the output as far as the body goes, so that each trip between threads is worth its while.
Awaitable<Session::Impl::ReadEnd> Session::Impl::read_body_piece(std::span<std::byte> output) {
  ReadEnd end;
  while (end.bytes < output.size() && !parser_->body_done()) {
    if (!input_.empty()) {
      const auto piece = parser_->put_body(input_.bytes(), output.subspan(end.bytes));
      if (!piece) {
        end.refusal = piece.error();
        co_return end;
      }
      input_.consume(piece->used);
      end.bytes += piece->made;
      body_bytes_ += piece->made;
      if (body_bytes_ > body_bytes_max_) {
        end.refusal = refuse_too_large(static_cast<std::size_t>(body_bytes_max_));
        co_return end;
      }
      if (piece->used > 0) continue;
      if (input_.size() > kFramingBytesMax) {
        end.refusal = Refusal{.status = 400, .code = "BadRequest", .message = "A chunk's header is too long."};
        co_return end;
      }
    }
    if (parser_->expects_continue() && !continue_sent_) {
      continue_sent_ = true;
      const std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await connection_->write_all(go_on, parts_.options.write_timeout);
    }
    const std::span<char> room = input_.room(kBodyReadBytes);
    const Milliseconds timeout = body_time_left();
    const auto asked = Clock::now();
    const IoResult got = co_await connection_->read_some(room, timeout);
    body_waited_ += Clock::now() - asked;
    if (got.end == IoEnd::kTimedOut) {
      end.refusal = refuse_slow();
      co_return end;
    }
    if (got.end != IoEnd::kDone) {
      end.is_gone = true;
      co_return end;
    }
    input_.commit(got.bytes);
  }
  co_return end;
}

Awaitable<Session::Impl::ReadEnd> Session::Impl::read_whole_body(std::size_t bytes_max) {
  ReadEnd end;
  if (const auto length = parser_->content_length()) {
    request_.body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, kBodyReadBytes)));
  }
  while (!parser_->body_done()) {
    const std::size_t have = request_.body.size();
    request_.body.resize(std::min(have + kBodyReadBytes, bytes_max + 1));
    const auto room = std::as_writable_bytes(std::span(request_.body)).subspan(have);
    end = co_await read_body_piece(room);
    request_.body.resize(have + end.bytes);
    if (!end.is_whole()) co_return end;
  }
  co_return end;
}

// A handler may answer without reading all of its body. A small rest is read away; with a large one the connection
// ends after the response.
Awaitable<void> Session::Impl::drain_body() {
  if (parser_->expects_continue() && !continue_sent_) co_return;
  if (parser_->content_length().value_or(0) > body_bytes_ + kDrainBytesMax) co_return;
  std::string dropped(kBodyReadBytes, '\0');
  const auto room = std::as_writable_bytes(std::span(dropped));
  body_bytes_max_ = body_bytes_ + kDrainBytesMax;
  while (!parser_->body_done()) {
    const ReadEnd end = co_await read_body_piece(room);
    if (!end.is_whole()) co_return;
  }
}

// On the handler's thread, while the coroutine waits for that very handler: nobody else touches the connection.
Result<std::size_t> Session::Impl::read_for_handler(std::span<std::byte> buffer) {
  if (body_failed_) return fail(Code::kUnavailable, "The request's body broke off earlier.");
  const auto done = std::make_shared<std::promise<ReadEnd>>();
  asio::co_spawn(executor(), read_body_piece(buffer), [done](const std::exception_ptr& thrown, ReadEnd end) {
    if (thrown) end.is_gone = true;
    done->set_value(std::move(end));
  });
  ReadEnd end = done->get_future().get();
  if (end.is_whole()) return end.bytes;
  body_failed_ = true;
  if (end.is_gone) return fail(Code::kUnavailable, "The connection was cut before the whole body had come.");
  const Code code = end.refusal->status == 413   ? Code::kTooLarge
                    : end.refusal->status == 408 ? Code::kUnavailable
                                                 : Code::kInvalidArgument;
  return fail(code, end.refusal->message);
}

// False when the pool is full. `work` outlives the wait: the caller's frame holds it.
Awaitable<bool> Session::Impl::run_on(WorkerPool& pool, const std::function<void()>& work) {
  work_done_ = false;
  const bool accepted = pool.submit([self = shared_from_this(), &work] {
    work();
    asio::post(self->executor(), [self] {
      self->work_done_ = true;
      self->wake_.cancel();
    });
  });
  if (!accepted) co_return false;
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  while (!work_done_) co_await wake_.async_wait(token);
  co_return true;
}

Awaitable<void> Session::Impl::answer(const Route* route, const Refusal& refusal) {
  const bool streams = route && route->body == BodyKind::kStream;
  BodyReader reader([this](std::span<std::byte> buffer) { return read_for_handler(buffer); },
                    parser_->content_length());
  if (streams) request_.stream = &reader;
  const std::function<void()> work = [&] {
    response_ = route ? parts_.router.run(*route, request_) : parts_.router.answer_unmatched(request_, refusal);
  };
  WorkerPool& pool = streams ? parts_.stream_handlers : parts_.handlers;
  const bool accepted = co_await run_on(pool, work);
  request_.stream = nullptr;
  if (!accepted) response_ = parts_.router.refused(request_, refuse_busy());
}

Awaitable<Session::Impl::Next> Session::Impl::send(AfterResponse after) {
  const bool sends_body = has_body(response_.status) && request_.method != "HEAD";
  std::optional<std::uint64_t> length;
  if (has_body(response_.status)) length = response_.source ? response_.source->length : response_.body.size();
  std::string bytes = response_head(response_, request_.id, length, after);
  const std::string_view body = sends_body && !response_.source ? std::string_view(response_.body) : std::string_view();
  const bool in_one = body.size() <= kOneWriteBytes;
  if (in_one) bytes += body;
  const std::string_view first = bytes;
  IoEnd end = co_await connection_->write_all(first, parts_.options.write_timeout);
  if (end == IoEnd::kDone && !in_one) end = co_await connection_->write_all(body, parts_.options.write_timeout);
  sent_bytes_ = body.size();
  if (end == IoEnd::kDone && sends_body && response_.source) end = co_await send_source(*response_.source);
  if (end != IoEnd::kDone) co_return Next::kCut;
  co_return after == AfterResponse::kKeepAlive ? Next::kRequest : Next::kClose;
}

Awaitable<IoEnd> Session::Impl::send_source(BodySource& source) {
  std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(source.length, kSourcePieceBytes)), '\0');
  Result<std::size_t> got = 0;
  const std::function<void()> work = [&] {
    try {
      const std::uint64_t left = source.length - sent_bytes_;
      const auto room = std::as_writable_bytes(std::span(piece));
      got = source.read(room.first(static_cast<std::size_t>(std::min<std::uint64_t>(left, room.size()))));
    } catch (const std::exception& thrown) {
      got = fail(Code::kInternal, thrown.what());
    }
  };
  while (sent_bytes_ < source.length) {
    const bool accepted = co_await run_on(parts_.handlers, work);
    if (!accepted || !got || *got == 0) {
      log::warning("request {}: the body broke off after {} of {} bytes: {}", request_.id, sent_bytes_, source.length,
                   !accepted ? "too much work" : (got ? "no more bytes" : got.error().message()));
      co_return IoEnd::kClosed;
    }
    const std::string_view bytes(piece.data(), *got);
    const IoEnd end = co_await connection_->write_all(bytes, parts_.options.write_timeout);
    if (end != IoEnd::kDone) co_return end;
    sent_bytes_ += *got;
  }
  co_return IoEnd::kDone;
}

void Session::Impl::log_access(Clock::time_point began) const {
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  log::info("http {} {} {} {} in={} out={} ms={:.1f} request={}", request_.remote_address, request_.method,
            without_query(request_.target), response_.status, body_bytes_, sent_bytes_,
            static_cast<double>(took.count()) / 1000, request_.id);
}

Session::Session(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

std::shared_ptr<Session> Session::start(const SessionParts& parts, std::unique_ptr<Connection> connection,
                                        std::function<void()> on_end) {
  auto impl = std::make_shared<Impl>(parts, std::move(connection));
  asio::co_spawn(impl->executor(), impl->serve(), [impl, on_end = std::move(on_end)](const std::exception_ptr& thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const std::exception& caught) {
      log::error("a connection ended in an exception: {}", caught.what());
      impl->cut();
    }
    on_end();
  });
  return std::shared_ptr<Session>(new Session(std::move(impl)));
}

void Session::stop_soon() {
  asio::post(impl_->executor(), [impl = impl_] { impl->stop_soon(); });
}

void Session::cut() {
  asio::post(impl_->executor(), [impl = impl_] { impl->cut(); });
}

}  // namespace atelier::http
