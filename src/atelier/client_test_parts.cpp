#include "atelier/client_test_parts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "http/message.h"

namespace atelier::cli {
namespace {

constexpr std::string_view kOperation =
    "/subscriptions/s/providers/Microsoft.LabServices/locations/j/operationResults/";

std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

}  // namespace

json::object operation_status(std::string_view status, double percent, std::string_view phase) {
  const json::object progress{{"phase", phase},   {"bytesDone", 42},    {"bytesTotal", 100},
                              {"newBytes", 2048}, {"knownBytes", 1024}, {"bytesPerSecond", 31200000},
                              {"etaSeconds", 80}};
  return {{"id", std::string(kOperation) + "op1"},
          {"name", "op1"},
          {"status", status},
          {"startTime", "2026-11-23T00:00:00Z"},
          {"percentComplete", percent},
          {"properties", json::object{{"kind", "ExportImage"},
                                      {"targetId", "/subscriptions/s/labs/english"},
                                      {"resourceId", "/subscriptions/s/images/prepared/versions/1.0.0"},
                                      {"progress", progress}}}};
}

CannedService::CannedService() {
  log::set_level(log::Level::kError);
  http::make_test_certificate(folder_.path());
  http::Router router;
  router.add({.method = "POST", .pattern = "/adfs/oauth2/token", .handler = [this](http::Request& request) {
                note(request, request.body);
                return token(request);
              }});
  for (const char* method : {"GET", "PUT", "POST", "PATCH", "DELETE"}) {
    router.add({.method = method, .pattern = "/{rest...}", .handler = [this](http::Request& request) {
                  return prepared(request);
                }});
  }
  router.add({.method = "PUT",
              .pattern = "/uploads/d",
              .handler = [this](http::Request& request) { return upload(request); },
              .body = http::BodyKind::kStream,
              .body_bytes_max = 64 << 20});
  router.add({.method = "GET", .pattern = "/uploads/d", .handler = [this](http::Request& request) {
                note(request, {});
                const std::lock_guard lock(mutex_);
                return http::Response::text(200, "<PageList>" + ranges_ + "</PageList>", "application/xml");
              }});
  http::Server::Options options;
  options.tls =
      http::TlsFiles{.certificate_chain = folder_.path() / "server.pem", .private_key = folder_.path() / "key.pem"};
  auto started = http::Server::start(options, std::move(router));
  CHECK(started.has_value());
  server_ = std::move(*started);
  answer("GET /subscriptions", json::object{{"value", json::array{json::object{{"id", "/subscriptions/s"}}}}});
}

std::string CannedService::url() const { return fmt::format("https://127.0.0.1:{}", server_->port()); }

void CannedService::answer(const std::string& asked, http::Response response) {
  const std::lock_guard lock(mutex_);
  answers_[asked].push_back(std::move(response));
}

void CannedService::answer(const std::string& asked, const json::value& body, int status) {
  answer(asked, http::Response::json(status, body));
}

void CannedService::answer_with_operation(const std::string& asked, int status,
                                          const std::vector<json::object>& statuses) {
  http::Response accepted = http::Response::json(status, json::object{});
  // Another host, as behind a proxy: only the path may count.
  accepted.set_header("Azure-AsyncOperation",
                      "https://elsewhere.example" + std::string(kOperation) + "op1?api-version=1");
  answer(asked, std::move(accepted));
  for (const json::object& body : statuses) answer("GET " + std::string(kOperation) + "op1", body);
}

std::vector<CannedService::Seen> CannedService::seen(std::string_view prefix) const {
  const std::lock_guard lock(mutex_);
  std::vector<Seen> found;
  for (const Seen& one : seen_) {
    if ((one.method + " " + one.target).starts_with(prefix)) found.push_back(one);
  }
  return found;
}

void CannedService::note(const http::Request& request, std::string body) {
  const std::lock_guard lock(mutex_);
  seen_.push_back({.method = request.method,
                   .target = request.target,
                   .body = std::move(body),
                   .authorization = std::string(request.header("Authorization"))});
}

http::Response CannedService::token(const http::Request& request) {
  const bool may = request.body.find("password=right") != std::string::npos ||
                   request.body.find("refresh_token=R1") != std::string::npos;
  if (!may) {
    return http::Response::json(401, json::object{{"error", "invalid_grant"},
                                                  {"error_description", "The user name or the password is wrong."}});
  }
  return http::Response::json(
      200,
      json::object{{"token_type", "Bearer"}, {"expires_in", 3599}, {"access_token", "T1"}, {"refresh_token", "R1"}});
}

http::Response CannedService::prepared(http::Request& request) {
  note(request, request.body);
  const std::lock_guard lock(mutex_);
  const auto found = answers_.find(request.method + " " + request.path);
  if (found == answers_.end()) {
    return http::refuse({.status = 404, .code = "ResourceNotFound", .message = "There is no " + request.path + "."});
  }
  http::Response response = found->second.front();
  if (found->second.size() > 1) found->second.pop_front();
  return response;
}

http::Response CannedService::upload(http::Request& request) {
  note(request, {});
  std::string bytes(8 << 20, '\0');
  std::size_t length = 0;
  while (true) {
    const auto got = request.stream->read(std::as_writable_bytes(std::span(bytes)).subspan(length));
    if (!got) return http::refuse({.status = 400, .code = "Broken"});
    if (*got == 0) break;
    length += *got;
  }
  if (uploads_before_failure-- <= 0)
    return http::refuse({.status = 500, .code = "InternalServerError", .message = "Oops."});
  const std::string range(request.header("x-ms-range"));
  const std::size_t first = std::strtoull(range.c_str() + 6, nullptr, 10);
  const std::lock_guard lock(mutex_);
  if (uploaded.size() < first + length) uploaded.resize(first + length);
  uploaded.replace(first, length, bytes, 0, length);
  ranges_ += fmt::format("<PageRange><Start>{}</Start><End>{}</End></PageRange>", first, first + length - 1);
  return http::Response::empty(201);
}

Outcome ClientProgram::run(const std::vector<std::string>& arguments, const Environment& environment) {
  return wait(start(arguments, environment));
}

pid_t ClientProgram::start(const std::vector<std::string>& arguments, const Environment& environment) {
  std::vector<std::string> words = {ATELIER_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> settings = environment;
  settings.push_back("XDG_CONFIG_HOME=" + folder_.string());
  settings.push_back("PATH=/usr/bin:/bin");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (std::string& setting : settings) envp.push_back(setting.data());
  envp.push_back(nullptr);
  const std::string out = folder_ / "out";
  const std::string err = folder_ / "err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = 0;
  CHECK(::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), envp.data()) == 0);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

Outcome ClientProgram::wait(pid_t pid) {
  int status = 0;
  CHECK(::waitpid(pid, &status, 0) == pid);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return {.code = code, .out = read_file(folder_ / "out"), .err = read_file(folder_ / "err")};
}

}  // namespace atelier::cli
