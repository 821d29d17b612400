#include "net/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>

#include "base/check.h"
#include "base/text.h"

namespace atelier::net {
namespace {

using std::chrono::milliseconds;

struct EasyDelete {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Easy = std::unique_ptr<CURL, EasyDelete>;

struct ListDelete {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, ListDelete>;

// One attempt at one request: what curl's callbacks see.
struct Attempt {
  const Request& request;
  CURL* easy = nullptr;
  Response response{};
  std::uint64_t sent = 0;
  bool reached_sink = false;
  std::optional<Error> error{};

  std::uint64_t body_length() const { return request.upload ? request.upload->length : request.body.size(); }
};

std::size_t on_header(const char* data, std::size_t, std::size_t length, void* user) {
  auto& attempt = *static_cast<Attempt*>(user);
  std::string_view line(data, length);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) attempt.response.headers.clear();  // after an interim answer such as 100
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return length;
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
  attempt.response.headers.emplace_back(line.substr(0, colon), value);
  return length;
}

std::size_t on_body(const char* data, std::size_t, std::size_t length, void* user) {
  auto& attempt = *static_cast<Attempt*>(user);
  long status = 0;
  curl_easy_getinfo(attempt.easy, CURLINFO_RESPONSE_CODE, &status);
  if (attempt.request.sink && status >= 200 && status < 300) {
    attempt.reached_sink = true;
    auto taken = attempt.request.sink(std::as_bytes(std::span(data, length)));
    if (taken) return length;
    attempt.error = std::move(taken).error();
    return CURL_WRITEFUNC_ERROR;
  }
  if (attempt.response.body.size() + length > attempt.request.body_bytes_max) {
    attempt.error = Error(Code::kTooLarge, fmt::format("The server's answer is larger than {}.",
                                                       to_human_bytes(attempt.request.body_bytes_max)));
    return CURL_WRITEFUNC_ERROR;
  }
  attempt.response.body.append(data, length);
  return length;
}

std::size_t on_upload(char* buffer, std::size_t, std::size_t length, void* user) {
  auto& attempt = *static_cast<Attempt*>(user);
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(length, attempt.body_length() - attempt.sent));
  if (wanted == 0) return 0;
  std::size_t got = 0;
  if (const auto& upload = attempt.request.upload) {
    const ssize_t bytes =
        ::pread(upload->descriptor, buffer, wanted, static_cast<off_t>(upload->offset + attempt.sent));
    if (bytes <= 0) {
      attempt.error = bytes < 0 ? errno_error(errno, "read the file to send")
                                : Error(Code::kInvalidArgument, "The file to send became shorter while it was read.");
      return CURL_READFUNC_ABORT;
    }
    got = static_cast<std::size_t>(bytes);
  } else {
    got = attempt.request.body.copy(buffer, wanted, static_cast<std::size_t>(attempt.sent));
  }
  attempt.sent += got;
  if (attempt.request.on_sent) attempt.request.on_sent(attempt.sent);
  return got;
}

int on_seek(void* user, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Attempt*>(user)->sent = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Attempt*>(user)->request.stop.stop_requested() ? 1 : 0;
}

bool is_loopback(std::string_view url) {
  const std::size_t begin = url.find("://");
  if (begin == std::string_view::npos) return false;
  const std::string_view host = url.substr(begin + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
}

// Whether nothing, or nothing that counts, happened on the other side.
bool is_lost_connection(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
      return true;
    default:
      return false;
  }
}

Error error_for(CURLcode code, const char* detail, const Request& request) {
  const std::string words = detail && *detail ? std::string(detail) : std::string(curl_easy_strerror(code));
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return {Code::kCanceled, "The request was canceled."};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {Code::kInvalidArgument,
              fmt::format("'{}' is not an http or https URL.", request.url.substr(0, request.url.find('?')))};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return {Code::kUnauthenticated,
              fmt::format("The server's certificate is not trusted: {}. Name its CA file.", words)};
    default:
      return {Code::kUnavailable, fmt::format("The server does not answer: {}.", words)};
  }
}

}  // namespace

class HttpClient::Impl {
 public:
  explicit Impl(Options options) : options_(std::move(options)) {}

  Result<Response> send(const Request& request) {
    milliseconds wait = options_.retry_wait_first;
    for (unsigned retry = 0;; ++retry) {
      Attempt attempt{.request = request};
      Easy easy = take_handle();
      attempt.easy = easy.get();
      char detail[CURL_ERROR_SIZE] = {};
      const CURLcode code = perform(attempt, detail);
      curl_off_t retry_after = 0;
      curl_easy_getinfo(easy.get(), CURLINFO_RETRY_AFTER, &retry_after);
      give_back(std::move(easy));
      if (attempt.error) return fail(std::move(*attempt.error));
      const bool is_busy = code == CURLE_OK && (attempt.response.status == 429 || attempt.response.status == 503);
      const bool may_retry = is_idempotent(request.method) && !attempt.reached_sink && retry < options_.retries_max &&
                             (is_busy || is_lost_connection(code));
      if (!may_retry) {
        if (code != CURLE_OK) return fail(error_for(code, detail, request));
        return std::move(attempt.response);
      }
      const milliseconds asked = std::chrono::seconds(retry_after);
      TRY(sleep(std::min(retry_after > 0 ? asked : wait, options_.retry_wait_max), request.stop));
      wait *= 2;
    }
  }

 private:
  static Status sleep(milliseconds time, const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, time, [] { return false; });
    if (stop.stop_requested()) return fail(Code::kCanceled, "The request was canceled.");
    return {};
  }

  Easy take_handle() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return Easy(curl_easy_init());
    Easy easy = std::move(idle_.back());
    idle_.pop_back();
    return easy;
  }

  void give_back(Easy easy) {
    constexpr std::size_t kIdleMax = 16;
    curl_easy_reset(easy.get());  // keeps its connections
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kIdleMax) idle_.push_back(std::move(easy));
  }

  CURLcode perform(Attempt& attempt, char* detail) {
    CURL* easy = attempt.easy;
    CHECK(easy != nullptr);
    set_connection_options(attempt, detail);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &attempt);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &attempt);
    const Request& request = attempt.request;
    const bool has_body = request.upload || !request.body.empty();
    if (request.method == "HEAD") {
      curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (has_body) {
      curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
      curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
      curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(attempt.body_length()));
      curl_easy_setopt(easy, CURLOPT_READFUNCTION, &on_upload);
      curl_easy_setopt(easy, CURLOPT_READDATA, &attempt);
      curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, &on_seek);
      curl_easy_setopt(easy, CURLOPT_SEEKDATA, &attempt);
    } else if (request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");  // says Content-Length: 0
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    List headers;
    const auto add = [&](const std::string& line) {
      headers.reset(curl_slist_append(headers.release(), line.c_str()));
    };
    for (const auto& [name, value] : request.headers) add(fmt::format("{}: {}", name, value));
    if (!request.bearer.empty()) add("Authorization: Bearer " + request.bearer);
    const bool has_type = std::ranges::any_of(
        request.headers, [](const auto& header) { return equals_ignoring_case(header.first, "Content-Type"); });
    if (!has_type) add("Content-Type:");  // curl would make one up
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
    const CURLcode code = curl_easy_perform(easy);
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    attempt.response.status = static_cast<int>(status);
    return code;
  }

  void set_connection_options(Attempt& attempt, char* detail) const {
    CURL* easy = attempt.easy;
    const Request& request = attempt.request;
    curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
    if (!options_.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
    if (is_loopback(request.url)) curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_timeout.count()));
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &attempt);
  }

  const Options options_;
  std::mutex mutex_;  // for idle_
  std::vector<Easy> idle_;
};

std::string_view Response::header(std::string_view name) const {
  const auto found =
      std::ranges::find_if(headers, [&](const auto& header) { return equals_ignoring_case(header.first, name); });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::~HttpClient() = default;

Result<std::unique_ptr<HttpClient>> HttpClient::open(Options options) {
  static const CURLcode started = [] {
    std::signal(SIGPIPE, SIG_IGN);  // TLS writes to a closed connection would end the program
    return curl_global_init(CURL_GLOBAL_DEFAULT);
  }();
  if (started != CURLE_OK) return fail(Code::kInternal, "libcurl cannot be started.");
  std::error_code error;
  if (!options.ca_file.empty() && !std::filesystem::is_regular_file(options.ca_file, error)) {
    return fail(Code::kNotFound, fmt::format("There is no CA file {}.", options.ca_file.string()));
  }
  return std::unique_ptr<HttpClient>(new HttpClient(std::make_unique<Impl>(std::move(options))));
}

Result<Response> HttpClient::send(const Request& request) { return impl_->send(request); }

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kUnreservedMarks = "-._~";
  std::string encoded;
  for (const char c : text) {
    const bool is_plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kUnreservedMarks.contains(c);
    encoded += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace atelier::net
