#include "net/http_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/text.h"

namespace atelier::net {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kHang = "hang";  // an answer that never comes

// A server that answers each connection's one request with the next of its prepared answers, as written, then closes.
class CannedServer {
 public:
  explicit CannedServer(std::deque<std::string> answers) : answers_(std::move(answers)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }

  ~CannedServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    for (const int connection : hanging_) ::close(connection);
  }

  std::string url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (true) {
      const int connection = ::accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      const std::string request = read_request(connection);
      const std::string answer = answers_.empty() ? "" : answers_.front();
      if (!answers_.empty()) answers_.pop_front();
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      if (answer == kHang) {
        hanging_.push_back(connection);
        continue;
      }
      (void)!::write(connection, answer.data(), answer.size());
      ::shutdown(connection, SHUT_WR);
      char rest[4096];
      while (::read(connection, rest, sizeof rest) > 0) {
      }
      ::close(connection);
    }
  }

  static std::string read_request(int connection) {
    std::string bytes;
    std::size_t head_end = std::string::npos;
    std::size_t length = 0;
    bool continued = false;
    char buffer[65536];
    while (head_end == std::string::npos || bytes.size() < head_end + 4 + length) {
      const ssize_t got = ::read(connection, buffer, sizeof buffer);
      if (got <= 0) break;
      bytes.append(buffer, static_cast<std::size_t>(got));
      head_end = bytes.find("\r\n\r\n");
      if (head_end == std::string::npos) continue;
      const std::size_t field = to_lower(bytes.substr(0, head_end)).find("content-length: ");
      if (field != std::string::npos) length = static_cast<std::size_t>(std::atoll(bytes.c_str() + field + 16));
      if (bytes.find("100-continue") < head_end && !std::exchange(continued, true)) {
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        (void)!::write(connection, kContinue.data(), kContinue.size());
      }
    }
    return bytes;
  }

  std::deque<std::string> answers_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::vector<int> hanging_;
  std::mutex mutex_;  // for requests_
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::string answer(std::string_view status, std::string_view body, std::string_view headers = "") {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

std::unique_ptr<HttpClient> client() {
  return std::move(*HttpClient::open({.retries_max = 2, .retry_wait_first = milliseconds(5)}));
}

TEST(HttpClient, SendsWhatWasAskedAndGivesBackWhatCame) {
  CannedServer server({answer("201 Created", "made", "X-Thing: a\r\n")});
  const auto got = client()->send({.method = "PUT",
                                   .url = server.url("/a?b=c"),
                                   .headers = {{"Content-Type", "application/json"}},
                                   .bearer = "token",
                                   .body = "{}"});
  ASSERT_TRUE(got.has_value()) << got.error().message();
  EXPECT_EQ(got->status, 201);
  EXPECT_EQ(got->body, "made");
  EXPECT_EQ(got->header("x-thing"), "a");
  const std::string asked = server.requests().at(0);
  EXPECT_TRUE(asked.starts_with("PUT /a?b=c HTTP/1.1\r\n")) << asked;
  EXPECT_NE(asked.find("Authorization: Bearer token\r\n"), std::string::npos);
  EXPECT_NE(asked.find("Content-Type: application/json\r\n"), std::string::npos);
  EXPECT_TRUE(asked.ends_with("\r\n\r\n{}"));
}

TEST(HttpClient, APostWithoutBodySaysSo) {
  CannedServer server({answer("202 Accepted", "")});
  EXPECT_EQ(client()->send({.method = "POST", .url = server.url("/start")})->status, 202);
  EXPECT_NE(server.requests().at(0).find("Content-Length: 0\r\n"), std::string::npos);
}

TEST(HttpClient, TriesAgainWhenTheServerIsBusyAndNotForPost) {
  CannedServer server({answer("503 Busy", ""), answer("429 Slow", "", "Retry-After: 0\r\n"), answer("200 OK", "ok"),
                       answer("503 Busy", "busy")});
  const auto http = client();
  EXPECT_EQ(http->send({.url = server.url("/")})->body, "ok");
  EXPECT_EQ(http->send({.method = "POST", .url = server.url("/")})->status, 503);
  EXPECT_EQ(server.requests().size(), 4u);
}

TEST(HttpClient, RetriesEndAndGiveTheLastAnswer) {
  CannedServer server({answer("503 a", ""), answer("503 b", ""), answer("503 c", "last")});
  const auto got = client()->send({.url = server.url("/")});
  EXPECT_EQ(got->status, 503);
  EXPECT_EQ(got->body, "last");
}

TEST(HttpClient, AServerThatIsNotThereIsUnavailable) {
  std::string url;
  {
    const CannedServer gone({});
    url = gone.url("/");
  }
  EXPECT_EQ(client()->send({.url = url}).error().code(), Code::kUnavailable);
  EXPECT_EQ(client()->send({.url = "file:///etc/passwd"}).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(client()->send({.url = "no url"}).error().code(), Code::kInvalidArgument);
}

TEST(HttpClient, AnAnswerOverTheBoundIsRefused) {
  CannedServer server({answer("200 OK", std::string(2000, 'x'))});
  EXPECT_EQ(client()->send({.url = server.url("/"), .body_bytes_max = 1000}).error().code(), Code::kTooLarge);
}

TEST(HttpClient, DoesNotFollowRedirects) {
  CannedServer server({answer("302 Found", "", "Location: http://127.0.0.1:1/\r\n")});
  EXPECT_EQ(client()->send({.url = server.url("/")})->status, 302);
}

TEST(HttpClient, GivesUpAfterTheTimeoutAndWhenAskedToStop) {
  CannedServer server({std::string(kHang), std::string(kHang)});
  EXPECT_EQ(client()->send({.method = "POST", .url = server.url("/"), .timeout = milliseconds(100)}).error().code(),
            Code::kUnavailable);
  std::stop_source stop;
  std::thread stopper([&] {
    while (server.requests().size() < 2) std::this_thread::sleep_for(milliseconds(5));
    stop.request_stop();
  });
  EXPECT_EQ(client()->send({.url = server.url("/"), .stop = stop.get_token()}).error().code(), Code::kCanceled);
  stopper.join();
}

class HttpClientFiles : public testing::Test {
 protected:
  HttpClientFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "atelier-net-XXXXXX").string();
    descriptor_ = ::mkstemp(pattern.data());
    path_ = pattern;
    std::string bytes(3 << 20, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>('a' + i % 23);
    std::ofstream(path_) << bytes;
    content_ = bytes;
  }
  ~HttpClientFiles() override {
    ::close(descriptor_);
    std::filesystem::remove(path_);
  }

  int descriptor_ = -1;
  std::filesystem::path path_;
  std::string content_;
};

TEST_F(HttpClientFiles, UploadsAPartOfAFileAndAgainAfterARetry) {
  CannedServer server({answer("503 Busy", ""), answer("201 Created", "")});
  std::uint64_t sent = 0;
  const auto got = client()->send({.method = "PUT",
                                   .url = server.url("/up"),
                                   .upload = FileRange{.descriptor = descriptor_, .offset = 100, .length = 2 << 20},
                                   .on_sent = [&](std::uint64_t bytes) { sent = bytes; }});
  ASSERT_TRUE(got.has_value()) << got.error().message();
  EXPECT_EQ(got->status, 201);
  EXPECT_EQ(sent, std::uint64_t{2} << 20);
  const std::string asked = server.requests().at(1);
  EXPECT_TRUE(asked.substr(asked.find("\r\n\r\n") + 4) == content_.substr(100, 2 << 20));
}

TEST_F(HttpClientFiles, AFileThatIsTooShortFails) {
  CannedServer server({answer("201 Created", "")});
  const auto got =
      client()->send({.method = "POST",
                      .url = server.url("/up"),
                      .upload = FileRange{.descriptor = descriptor_, .offset = 0, .length = content_.size() + 5}});
  EXPECT_EQ(got.error().code(), Code::kInvalidArgument);
}

TEST_F(HttpClientFiles, DownloadsToASinkAndEndsWithItsError) {
  CannedServer server({answer("200 OK", content_), answer("404 Not Found", "none"), answer("200 OK", content_)});
  const auto http = client();
  std::string got;
  const auto keep = [&](std::span<const std::byte> bytes) -> Status {
    got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  };
  EXPECT_EQ(http->send({.url = server.url("/"), .sink = keep})->status, 200);
  EXPECT_TRUE(got == content_);
  EXPECT_EQ(http->send({.url = server.url("/"), .sink = keep})->body, "none");
  EXPECT_EQ(got.size(), content_.size());
  const auto full = http->send({.url = server.url("/"), .sink = [](std::span<const std::byte>) -> Status {
                                  return fail(Code::kResourceExhausted, "full");
                                }});
  EXPECT_EQ(full.error().code(), Code::kResourceExhausted);
}

TEST(HttpClient, EncodesSegments) { EXPECT_EQ(percent_encode("a b/é~"), "a%20b%2F%C3%A9~"); }

}  // namespace
}  // namespace atelier::net
