// The server's bounds: many connections, bodies far larger than memory allows, stopping under load.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <future>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/text.h"
#include "http/raw_client.h"
#include "http/server.h"

namespace atelier::http {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kGet = "GET /ok HTTP/1.1\r\nHost: h\r\n\r\n";

std::unique_ptr<Server> start(Server::Options options, Router router) {
  log::set_level(log::Level::kError);
  router.add({.method = "GET", .pattern = "/ok", .handler = [](Request&) { return Response::text(200, "ok"); }});
  auto started = Server::start(std::move(options), std::move(router));
  EXPECT_TRUE(started.has_value());
  return std::move(*started);
}

std::size_t resident_bytes() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * 4096;
}

// Reads all of a body and says its length; tells `broken` when it broke off.
Route counting_route(std::promise<Code>* broken = nullptr) {
  return {.method = "PUT",
          .pattern = "/count",
          .handler =
              [broken](Request& request) {
                std::vector<std::byte> buffer(256 << 10);
                std::uint64_t bytes = 0;
                while (true) {
                  const auto got = request.stream->read(buffer);
                  if (!got && broken) broken->set_value(got.error().code());
                  if (!got) return Response::empty(400);
                  if (*got == 0) return Response::text(200, std::to_string(bytes));
                  bytes += *got;
                }
              },
          .body = BodyKind::kStream,
          .body_bytes_max = std::size_t{1} << 30};
}

TEST(ServerLoad, AThousandConnectionsStayOpenAndAnswerInTurn) {
  constexpr std::size_t kConnections = 1000;
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 8192);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  const auto server = start({}, {});
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < kConnections; ++i) clients.emplace_back(server->port());
  for (int round = 0; round < 2; ++round) {
    for (RawClient& client : clients) client.send(kGet);
    for (RawClient& client : clients) ASSERT_EQ(client.receive().body, "ok");
  }
  EXPECT_EQ(server->connections(), kConnections);
}

TEST(ServerLoad, ConnectionsOverTheBoundAreClosedAndOthersGoOn) {
  const auto server = start({.connections_max = 2}, {});
  RawClient first(server->port());
  RawClient second(server->port());
  EXPECT_EQ(first.ask(kGet).status, 200);
  EXPECT_EQ(second.ask(kGet).status, 200);
  RawClient third(server->port());
  EXPECT_EQ(third.ask(kGet).status, 0);
  EXPECT_EQ(first.ask(kGet).status, 200);
}

TEST(ServerLoad, AnUploadOf300MegabytesKeepsMemoryBounded) {
  Router router;
  router.add(counting_route());
  const auto server = start({}, std::move(router));
  RawClient client(server->port());
  const std::string piece(1 << 20, 'x');
  const std::size_t before = resident_bytes();
  std::size_t most = 0;
  client.send("PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(300 * piece.size()) + "\r\n\r\n");
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(client.send(piece));
    most = std::max(most, resident_bytes());
  }
  EXPECT_EQ(client.receive().body, std::to_string(300 * piece.size()));
  EXPECT_LT(most - std::min(most, before), std::size_t{32} << 20);
}

TEST(ServerLoad, ASenderWaitsForAHandlerThatDoesNotRead) {
  std::promise<void> go_on;
  Router router;
  Route slow = counting_route();
  slow.handler = [&, read_all = slow.handler](Request& request) {
    go_on.get_future().wait();
    return read_all(request);
  };
  router.add(std::move(slow));
  const auto server = start({}, std::move(router));
  RawClient client(server->port());
  constexpr std::size_t kPieces = 100;
  std::atomic<std::size_t> sent = 0;
  std::thread sender([&] {
    client.send("PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kPieces << 20) + "\r\n\r\n");
    const std::string piece(1 << 20, 'x');
    for (std::size_t i = 0; i < kPieces && client.send(piece); ++i) ++sent;
  });
  std::size_t last = sent;
  do {
    last = sent;
    std::this_thread::sleep_for(milliseconds(300));
  } while (sent != last);
  EXPECT_LT(last, kPieces / 2);  // the rest waits in neither memory nor the kernel
  go_on.set_value();
  sender.join();
  EXPECT_EQ(client.receive().body, std::to_string(kPieces << 20));
}

TEST(ServerLoad, ACutBodyNeverReachesABufferedHandlerAndFailsAStreamedOne) {
  std::promise<Code> broken;
  std::atomic<int> calls = 0;
  Router router;
  router.add(counting_route(&broken));
  router.add({.method = "POST", .pattern = "/whole", .handler = [&](Request&) {
                ++calls;
                return Response::empty(200);
              }});
  const auto server = start({}, std::move(router));
  for (const char* framing : {"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    RawClient client(server->port());
    client.send(std::string("POST /whole HTTP/1.1\r\nHost: h\r\n") + framing);
    client.half_close();
    EXPECT_EQ(client.receive().status, 0);
  }
  RawClient client(server->port());
  client.send("PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc");
  client.close();
  EXPECT_EQ(broken.get_future().get(), Code::kUnavailable);
  EXPECT_EQ(calls, 0);
}

TEST(ServerLoad, TooManyRequestsAtOnceGet503AndMayComeAgain) {
  std::promise<void> go_on;
  const std::shared_future<void> wait(go_on.get_future());
  std::latch entered(1);
  Router router;
  router.add({.method = "GET", .pattern = "/wait", .handler = [&](Request&) {
                entered.count_down();
                wait.wait();
                return Response::text(200, "done");
              }});
  const auto server = start({.handler_threads = 1, .handlers_waiting_max = 1}, std::move(router));
  RawClient first(server->port());
  first.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.wait();
  RawClient second(server->port());
  RawClient third(server->port());
  second.send(kGet);
  third.send(kGet);
  // One of the two waits in the queue, the other is refused, whichever came first.
  std::vector<std::future<int>> statuses;
  for (RawClient* client : {&second, &third}) {
    statuses.push_back(std::async(std::launch::async, [client] { return client->receive().status; }));
  }
  while (statuses[0].wait_for(milliseconds(5)) != std::future_status::ready &&
         statuses[1].wait_for(milliseconds(5)) != std::future_status::ready) {
  }
  go_on.set_value();
  EXPECT_EQ(first.receive().body, "done");
  EXPECT_EQ(statuses[0].get() + statuses[1].get(), 200 + 503);
}

TEST(ServerLoad, StopLetsTheRequestUnderWayFinishAndClosesTheIdle) {
  std::latch entered(1);
  std::promise<void> go_on;
  Router router;
  router.add({.method = "GET", .pattern = "/wait", .handler = [&](Request&) {
                entered.count_down();
                go_on.get_future().wait();
                return Response::text(200, "done");
              }});
  const auto server = start({}, std::move(router));
  RawClient idle(server->port());
  EXPECT_EQ(idle.ask(kGet).status, 200);
  RawClient busy(server->port());
  busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  entered.wait();
  std::thread stopper([&] { server->stop(); });
  EXPECT_TRUE(idle.is_closed_by_server());
  go_on.set_value();
  const auto answer = busy.receive();
  EXPECT_EQ(answer.body, "done");
  EXPECT_EQ(answer.header("Connection"), "close");
  busy.close();
  stopper.join();
  server->stop();
}

TEST(ServerLoad, StopCutsAnUploadThatDoesNotEnd) {
  std::promise<Code> broken;
  Router router;
  router.add(counting_route(&broken));
  const auto server = start({.stop_grace = milliseconds(100)}, std::move(router));
  RawClient client(server->port());
  client.send("PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc");
  EXPECT_EQ(RawClient(server->port()).ask(kGet).status, 200);
  server->stop();
  EXPECT_EQ(client.receive().status, 0);
}

}  // namespace
}  // namespace atelier::http
