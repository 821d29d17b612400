// For tests: a client that says exactly the bytes it is told to, right or wrong, with or without TLS.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace atelier::http {

class RawClient {
 public:
  // With `ca_file` the connection uses TLS and the server's certificate must hold for 127.0.0.1. Ends the test program
  // when there is no connection.
  explicit RawClient(std::uint16_t port, const std::filesystem::path& ca_file = {});
  ~RawClient();
  RawClient(RawClient&&) noexcept;
  RawClient& operator=(RawClient&&) noexcept;

  // False when the server has closed.
  bool send(std::string_view bytes);
  void half_close();
  void close();

  struct Answer {
    int status = 0;  // 0: the server closed before a whole answer
    std::string head;
    std::string body;

    // "" when absent.
    std::string header(std::string_view name) const;
  };
  enum class Body { kExpected, kNone };  // kNone: the answer to HEAD
  // The next answer; waits up to ten seconds.
  Answer receive(Body body = Body::kExpected);
  // send() and receive().
  Answer ask(std::string_view bytes, Body body = Body::kExpected);
  // Whether the server closes within ten seconds, with nothing more said.
  bool is_closed_by_server();

 private:
  struct Wire;

  bool fill();

  std::unique_ptr<Wire> wire_;
  std::string input_;
};

// A key and a certificate for 127.0.0.1, signed by itself, as server.pem and key.pem in the folder.
void make_test_certificate(const std::filesystem::path& folder);

// A folder of its own for one test, removed at the end.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Writes a file below the folder, making folders on the way.
  void write(const std::filesystem::path& name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

}  // namespace atelier::http
