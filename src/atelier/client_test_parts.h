// For tests of the client's commands: a service with prepared answers, and the real program run against it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "http/raw_client.h"
#include "http/router.h"
#include "http/server.h"

namespace atelier::cli {

// Answers over TLS with what was prepared for a method and path, in order, the last again and again; 404 otherwise.
// User "admin" with password "right" may sign in.
class CannedService {
 public:
  CannedService();

  struct Seen {
    std::string method;
    std::string target;
    std::string body;
    std::string authorization;
  };

  // `asked` is "GET /path", without a query.
  void answer(const std::string& asked, http::Response response);
  void answer(const std::string& asked, const json::value& body, int status = 200);
  // Accepts with an operation that then answers with each of `statuses`.
  void answer_with_operation(const std::string& asked, int status, const std::vector<json::object>& statuses);

  std::string url() const;
  std::filesystem::path ca_file() const { return folder_.path() / "server.pem"; }
  std::filesystem::path folder() const { return folder_.path(); }
  // The requests so far that begin with `prefix`, e.g. "PUT /uploads".
  std::vector<Seen> seen(std::string_view prefix = {}) const;

  // /uploads/d keeps what is written to it here.
  std::string uploaded;
  std::atomic<int> uploads_before_failure = 1 << 30;

 private:
  http::Response token(const http::Request& request);
  http::Response prepared(http::Request& request);
  http::Response upload(http::Request& request);
  void note(const http::Request& request, std::string body);

  http::TestFolder folder_;
  mutable std::mutex mutex_;  // for the following
  std::map<std::string, std::deque<http::Response>> answers_;
  std::vector<Seen> seen_;
  std::string ranges_;
  std::unique_ptr<http::Server> server_;
};

json::object operation_status(std::string_view status, double percent, std::string_view phase = "Reading");

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

// The program with a configuration folder of its own.
class ClientProgram {
 public:
  explicit ClientProgram(std::filesystem::path folder) : folder_(std::move(folder)) {}

  using Environment = std::vector<std::string>;
  Outcome run(const std::vector<std::string>& arguments, const Environment& environment = {});
  pid_t start(const std::vector<std::string>& arguments, const Environment& environment = {});
  Outcome wait(pid_t pid);
  std::filesystem::path config_file() const { return folder_ / "atelier" / "config.json"; }

 private:
  std::filesystem::path folder_;
};

}  // namespace atelier::cli
