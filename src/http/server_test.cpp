#include "http/server.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>
#include <thread>

#include "base/log.h"
#include "http/raw_client.h"
#include "http/static_files.h"

namespace atelier::http {
namespace {

using std::chrono::milliseconds;

Response echo(Request& request) {
  return Response::text(200, request.method + " " + request.path + " " + request.body);
}

// Reads a streamed body and answers with how much came and the sum of its bytes.
Response count(Request& request) {
  std::vector<std::byte> buffer(1 << 20);
  std::uint64_t bytes = 0;
  std::uint64_t sum = 0;
  while (true) {
    const auto got = request.stream->read(buffer);
    if (!got) return Response::text(got.error().code() == Code::kTooLarge ? 413 : 400, got.error().message());
    if (*got == 0) break;
    bytes += *got;
    for (std::size_t i = 0; i < *got; ++i) sum += static_cast<std::uint64_t>(buffer[i]);
  }
  return Response::text(200, std::to_string(bytes) + " " + std::to_string(sum));
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    log::set_level(log::Level::kError);
    router_.add({.method = "GET", .pattern = "/echo/{rest...}", .handler = echo});
    router_.add({.method = "POST", .pattern = "/echo", .handler = echo, .body_bytes_max = 1000});
    router_.add({.method = "PUT",
                 .pattern = "/count",
                 .handler = count,
                 .body = BodyKind::kStream,
                 .body_bytes_max = std::size_t{1} << 30});
    router_.add({.method = "PUT",
                 .pattern = "/ignore",
                 .handler = [](Request&) { return Response::text(200, "ignored"); },
                 .body = BodyKind::kStream,
                 .body_bytes_max = std::size_t{1} << 30});
    router_.add({.method = "GET", .pattern = "/throw", .handler = [](Request&) -> Response {
                   throw std::runtime_error("secret");
                 }});
  }

  void start() {
    auto started = Server::start(options_, std::move(router_));
    ASSERT_TRUE(started.has_value()) << started.error().message();
    server_ = std::move(*started);
  }

  RawClient connect() const { return RawClient(server_->port()); }

  TestFolder folder_;
  Server::Options options_;
  Router router_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersRequestAfterRequestOnOneConnection) {
  start();
  RawClient client = connect();
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.ask("GET /echo/a HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "GET /echo/a ");
    EXPECT_EQ(answer.header("x-ms-request-id").size(), 36u);
    EXPECT_FALSE(answer.header("Date").empty());
    EXPECT_TRUE(answer.header("Connection").empty());
  }
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  RawClient client = connect();
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n" + std::to_string(10 + i);
  }
  client.send(all);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.receive().body, "POST /echo " + std::to_string(10 + i));
}

TEST_F(ServerTest, ClosesWhenTheClientAsksForIt) {
  start();
  RawClient client = connect();
  const auto answer = client.ask("GET /echo/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.header("Connection"), "close");
  EXPECT_TRUE(client.is_closed_by_server());
  RawClient old = connect();
  EXPECT_EQ(old.ask("GET /echo/a HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_TRUE(old.is_closed_by_server());
}

TEST_F(ServerTest, TakesChunkedBodiesWholeOrStreamed) {
  start();
  RawClient client = connect();
  EXPECT_EQ(client
                .ask("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
                .body,
            "POST /echo abcde");
  client.send("PUT /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r");
  client.send("\na\r\n10");
  client.send("\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(client.receive().body, "17 " + std::to_string('a' + 10 * '0' + 45 + 6 * 'a' + 15));
  EXPECT_EQ(client.ask("GET /echo/next HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
}

TEST_F(ServerTest, SaysContinueBeforeTheBodyAndNotWhenItRefuses) {
  start();
  RawClient client = connect();
  const std::string expect = "Host: h\r\nExpect: 100-continue\r\n";
  EXPECT_EQ(client.ask("POST /echo HTTP/1.1\r\n" + expect + "Content-Length: 3\r\n\r\n").status, 100);
  EXPECT_EQ(client.ask("abc").body, "POST /echo abc");
  EXPECT_EQ(client.ask("PUT /count HTTP/1.1\r\n" + expect + "Content-Length: 1\r\n\r\n").status, 100);
  EXPECT_EQ(client.ask("a").body, "1 97");
  EXPECT_EQ(client.ask("POST /echo HTTP/1.1\r\n" + expect + "Content-Length: 3000\r\n\r\n").status, 413);
  EXPECT_TRUE(client.is_closed_by_server());
  RawClient other = connect();
  EXPECT_EQ(other.ask("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\nContent-Length: 3\r\n\r\n").status, 417);
}

TEST_F(ServerTest, HeadSaysTheLengthAndSendsNoBody) {
  start();
  RawClient client = connect();
  const auto answer = client.ask("HEAD /echo/a HTTP/1.1\r\nHost: h\r\n\r\n", RawClient::Body::kNone);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Content-Length"), std::to_string(std::string("HEAD /echo/a ").size()));
  EXPECT_EQ(client.ask("GET /echo/b HTTP/1.1\r\nHost: h\r\n\r\n").body, "GET /echo/b ");
}

TEST_F(ServerTest, RefusesWhatIsTooLarge) {
  options_.header_bytes_max = 4000;
  options_.target_bytes_max = 1000;
  start();
  const std::string host = " HTTP/1.1\r\nHost: h\r\n";
  struct Case {
    std::string bytes;
    int status;
  };
  const std::vector<Case> cases = {
      {"POST /echo" + host + "Content-Length: 1001\r\n\r\n", 413},
      {"POST /echo" + host + "Content-Length: 99999999999999\r\n\r\n", 413},
      {"POST /echo" + host + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n",
       413},
      {"GET /" + std::string(1200, 'a') + host + "\r\n", 414},
      {"GET /" + std::string(9000, 'a'), 414},
      {"GET /echo/a" + host + "X: " + std::string(5000, 'x') + "\r\n\r\n", 431},
      {"GET /echo/a" + host + "X: " + std::string(5000, 'x'), 431},
  };
  for (const Case& one : cases) {
    RawClient client = connect();
    EXPECT_EQ(client.ask(one.bytes).status, one.status) << one.bytes.substr(0, 80);
    EXPECT_TRUE(client.is_closed_by_server());
  }
}

TEST_F(ServerTest, AnswersWhatIsMalformedWith400AndCloses) {
  start();
  for (const std::string bytes :
       {"nonsense\r\n\r\n",
        "GET /echo/a\r\n\r\n",
        "GET  /echo/a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /echo/a HTTP/7.3\r\nHost: h\r\n\r\n",
        "GET /echo/a HTTP/1.1\r\n\r\n",
        "GET /echo/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /echo/a HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET /echo/a HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n",
        "GET /echo/%zz HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /echo/%2e%2e/x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET echo HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 4\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "\x16\x03\x01 this is TLS\r\n\r\n"}) {
    RawClient client = connect();
    EXPECT_EQ(client.ask(bytes).status, 400) << bytes;
    EXPECT_TRUE(client.is_closed_by_server());
  }
  EXPECT_EQ(connect().ask("GET /echo/a HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
}

TEST_F(ServerTest, ASlowHeaderGets408AndAnIdleConnectionIsClosed) {
  options_.header_timeout = milliseconds(200);
  options_.idle_timeout = milliseconds(1500);
  start();
  RawClient slow = connect();
  EXPECT_EQ(slow.ask("GET /echo/a HTT").status, 408);
  EXPECT_TRUE(slow.is_closed_by_server());
  RawClient idle = connect();
  EXPECT_TRUE(idle.is_closed_by_server());
}

TEST_F(ServerTest, ASlowBodyGets408) {
  options_.body_timeout = milliseconds(200);
  start();
  RawClient client = connect();
  EXPECT_EQ(client.ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na").status, 408);
  RawClient streamed = connect();
  EXPECT_EQ(streamed.ask("PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na").status, 400);
  EXPECT_TRUE(streamed.is_closed_by_server());
}

TEST_F(ServerTest, AnErrorInAHandlerIs500WithoutDetailAndTheConnectionGoesOn) {
  start();
  RawClient client = connect();
  const auto answer = client.ask("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  EXPECT_NE(answer.body.find(answer.header("x-ms-request-id")), std::string::npos);
  EXPECT_EQ(client.ask("GET /echo/a HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
}

TEST_F(ServerTest, ABodyThatTheHandlerLeavesIsReadAwayOrEndsTheConnection) {
  start();
  RawClient client = connect();
  EXPECT_EQ(client.ask("PUT /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde").body, "ignored");
  EXPECT_EQ(client.ask("PUT /unknown HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde").status, 404);
  EXPECT_EQ(client.ask("GET /echo/a HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
  client.send("PUT /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
  const std::string much(1 << 20, 'x');
  std::thread sender([&] {
    for (int i = 0; i < 40 && client.send(much); ++i) {
    }
    client.half_close();
  });
  EXPECT_EQ(client.receive().body, "ignored");
  sender.join();
}

TEST_F(ServerTest, SendsLargeBodiesAndFileRangesWhole) {
  std::string large;
  large.resize(20'000'000);
  std::iota(large.begin(), large.end(), '\0');
  folder_.write("large", large);
  router_.add({.method = "GET", .pattern = "/memory", .handler = [&](Request&) { return Response::text(200, large); }});
  router_.add({.method = "GET", .pattern = "/file", .handler = [&](Request&) {
                 return Response::file(folder_.path() / "large", {.offset = 5, .length = large.size() - 10}).value();
               }});
  make_test_certificate(folder_.path());
  start();
  RawClient client = connect();
  EXPECT_TRUE(client.ask("GET /memory HTTP/1.1\r\nHost: h\r\n\r\n").body == large);
  EXPECT_TRUE(client.ask("GET /file HTTP/1.1\r\nHost: h\r\n\r\n").body == large.substr(5, large.size() - 10));
}

TEST_F(ServerTest, ASourceThatBreaksOffCutsTheConnection) {
  router_.add({.method = "GET", .pattern = "/broken", .handler = [](Request&) {
                 Response response = Response::empty(200);
                 response.source = BodySource{.length = 100, .read = [first = true](std::span<std::byte>) mutable {
                                                return Result<std::size_t>(std::exchange(first, false) ? 10 : 0);
                                              }};
                 return response;
               }});
  start();
  EXPECT_EQ(connect().ask("GET /broken HTTP/1.1\r\nHost: h\r\n\r\n").status, 0);
}

TEST_F(ServerTest, SpeaksTls) {
  make_test_certificate(folder_.path());
  options_.tls =
      TlsFiles{.certificate_chain = folder_.path() / "server.pem", .private_key = folder_.path() / "key.pem"};
  std::string large(3'000'000, 'x');
  router_.add({.method = "GET", .pattern = "/memory", .handler = [&](Request&) { return Response::text(200, large); }});
  router_.add({.method = "GET", .pattern = "/base", .handler = [&](Request& asked) {
                 return Response::text(200, asked.base_url);
               }});
  start();
  RawClient client(server_->port(), folder_.path() / "server.pem");
  EXPECT_TRUE(client.ask("GET /memory HTTP/1.1\r\nHost: h\r\n\r\n").body == large);
  EXPECT_EQ(client.ask("GET /base HTTP/1.1\r\nHost: lab.example:8443\r\n\r\n").body, "https://lab.example:8443");
  const std::string body(5'000'000, 'a');
  EXPECT_EQ(client.ask("PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n" + body).body,
            "5000000 " + std::to_string(5'000'000 * std::uint64_t{'a'}));
  RawClient plain(server_->port());
  EXPECT_EQ(plain.ask("GET /echo/a HTTP/1.1\r\nHost: h\r\n\r\n").status, 0);
}

TEST_F(ServerTest, NeedsACertificateThatCanBeUsedAndAFreePort) {
  options_.tls = TlsFiles{.certificate_chain = folder_.path() / "none.pem", .private_key = folder_.path() / "none.pem"};
  EXPECT_EQ(Server::start(options_, Router()).error().code(), Code::kInvalidArgument);
  options_.tls.reset();
  start();
  options_.port = server_->port();
  EXPECT_EQ(Server::start(options_, Router()).error().code(), Code::kUnavailable);
  options_.address = "nowhere";
  EXPECT_EQ(Server::start(options_, Router()).error().code(), Code::kInvalidArgument);
}

TEST_F(ServerTest, ServesThePortalsFilesAndNothingElseOfTheDisk) {
  folder_.write("web/index.html", "portal");
  folder_.write("secret", "secret");
  const StaticFiles files({.folder = folder_.path() / "web"});
  router_.set_fallback([files](Request& asked) { return files.answer(asked); });
  start();
  RawClient client = connect();
  EXPECT_EQ(client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").body, "portal");
  EXPECT_EQ(client.ask("GET /web/../../secret HTTP/1.1\r\nHost: h\r\n\r\n").status, 400);
  EXPECT_EQ(connect().ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n").status, 404);
}

}  // namespace
}  // namespace atelier::http
