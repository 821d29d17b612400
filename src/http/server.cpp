#include "http/server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "http/session.h"
#include "http/transport.h"
#include "http/worker_pool.h"

namespace atelier::http {

namespace asio = boost::asio;

class Server::Impl {
 public:
  Impl(Options options, Router router)
      : options_(std::move(options)),
        router_(std::move(router)),
        handlers_(options_.handler_threads, options_.handlers_waiting_max),
        stream_handlers_(options_.stream_threads, options_.stream_threads),
        work_(asio::make_work_guard(context_)) {}

  Status listen() {
    listener_ = TRY(Listener::open(context_, options_));
    port_ = listener_->port();
    asio::co_spawn(listener_->executor(), accept_all(), [this](const std::exception_ptr& thrown) {
      if (thrown) log::error("accepting connections ended in an exception");
      const std::lock_guard lock(mutex_);
      accepting_ = false;
      changed_.notify_all();
    });
    for (std::size_t i = 0; i < std::max<std::size_t>(1, options_.io_threads); ++i) {
      io_threads_.emplace_back([this] { context_.run(); });
    }
    return {};
  }

  std::uint16_t port() const { return port_; }

  std::size_t connections() const {
    const std::lock_guard lock(mutex_);
    return sessions_.size();
  }

  void stop() {
    const std::lock_guard one_at_a_time(stop_mutex_);
    if (!listener_) return;
    stopping_ = true;
    listener_->close();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !accepting_; });
    for (const auto& [number, session] : sessions_) session->stop_soon();
    const auto all_ended = [this] { return sessions_.empty(); };
    if (!changed_.wait_for(lock, options_.stop_grace, all_ended)) {
      log::warning("{} connections are cut because the server stops", sessions_.size());
      for (const auto& [number, session] : sessions_) session->cut();
      changed_.wait(lock, all_ended);
    }
    lock.unlock();
    work_.reset();
    context_.stop();
    io_threads_.clear();
    listener_.reset();
  }

 private:
  Awaitable<void> accept_all() {
    const SessionParts parts{.options = options_,
                             .router = router_,
                             .handlers = handlers_,
                             .stream_handlers = stream_handlers_,
                             .stopping = stopping_};
    for (std::uint64_t number = 1;; ++number) {
      std::unique_ptr<Connection> connection = co_await listener_->accept();
      if (!connection) co_return;
      const std::lock_guard lock(mutex_);
      if (sessions_.size() >= options_.connections_max) {
        log::warning("refused a connection from {}: {} are open", connection->remote_address(), sessions_.size());
        continue;
      }
      sessions_[number] = Session::start(parts, std::move(connection), [this, number] { forget(number); });
    }
  }

  void forget(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    sessions_.erase(number);
    changed_.notify_all();
  }

  const Options options_;
  const Router router_;
  std::atomic<bool> stopping_ = false;
  std::mutex stop_mutex_;
  mutable std::mutex mutex_;  // for sessions_ and accepting_
  std::condition_variable changed_;
  std::map<std::uint64_t, std::shared_ptr<Session>> sessions_;
  bool accepting_ = true;
  std::uint16_t port_ = 0;

  asio::io_context context_;
  // After the context: their last jobs post to it.
  WorkerPool handlers_;
  WorkerPool stream_handlers_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::jthread> io_threads_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(Options options, Router router) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(router));
  TRY(impl->listen());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const { return impl_->port(); }
std::size_t Server::connections() const { return impl_->connections(); }
void Server::stop() { impl_->stop(); }

}  // namespace atelier::http
