#include "http/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace atelier::http {
namespace {

constexpr int kWaitSeconds = 10;

int connect_to(std::uint16_t port) {
  std::signal(SIGPIPE, SIG_IGN);
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(descriptor >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const timeval wait{.tv_sec = kWaitSeconds, .tv_usec = 0};
  CHECK(::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0);
  return descriptor;
}

}  // namespace

struct RawClient::Wire {
  ~Wire() {
    if (tls) SSL_free(tls);
    if (context) SSL_CTX_free(context);
    if (descriptor >= 0) ::close(descriptor);
  }

  int descriptor = -1;
  SSL_CTX* context = nullptr;
  SSL* tls = nullptr;
};

RawClient::RawClient(std::uint16_t port, const std::filesystem::path& ca_file) : wire_(std::make_unique<Wire>()) {
  wire_->descriptor = connect_to(port);
  if (ca_file.empty()) return;
  wire_->context = SSL_CTX_new(TLS_client_method());
  CHECK(SSL_CTX_load_verify_locations(wire_->context, ca_file.c_str(), nullptr) == 1);
  SSL_CTX_set_verify(wire_->context, SSL_VERIFY_PEER, nullptr);
  wire_->tls = SSL_new(wire_->context);
  CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(wire_->tls), "127.0.0.1") == 1);
  CHECK(SSL_set_fd(wire_->tls, wire_->descriptor) == 1);
  CHECK(SSL_connect(wire_->tls) == 1);
}

RawClient::~RawClient() = default;
RawClient::RawClient(RawClient&&) noexcept = default;
RawClient& RawClient::operator=(RawClient&&) noexcept = default;

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = wire_->tls ? SSL_write(wire_->tls, bytes.data(), static_cast<int>(bytes.size()))
                                    : ::send(wire_->descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void RawClient::half_close() { ::shutdown(wire_->descriptor, SHUT_WR); }
void RawClient::close() { wire_ = nullptr; }

bool RawClient::fill() {
  char buffer[65536];
  const ssize_t got =
      wire_->tls ? SSL_read(wire_->tls, buffer, sizeof buffer) : ::recv(wire_->descriptor, buffer, sizeof buffer, 0);
  if (got <= 0) return false;
  input_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::string RawClient::Answer::header(std::string_view name) const {
  for (std::size_t begin = head.find("\r\n") + 2; begin < head.size();) {
    const std::size_t end = head.find("\r\n", begin);
    const std::string_view line = std::string_view(head).substr(begin, end - begin);
    begin = end + 2;
    const std::size_t colon = line.find(':');
    if (equals_ignoring_case(line.substr(0, colon), name)) return std::string(line.substr(colon + 2));
  }
  return {};
}

RawClient::Answer RawClient::receive(Body body) {
  std::size_t head_end = std::string::npos;
  while ((head_end = input_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return {};
  }
  Answer answer{.status = std::atoi(input_.c_str() + 9), .head = input_.substr(0, head_end + 2), .body = {}};
  input_.erase(0, head_end + 4);
  const std::size_t length =
      body == Body::kNone ? 0 : static_cast<std::size_t>(std::atoll(answer.header("Content-Length").c_str()));
  while (input_.size() < length) {
    if (!fill()) return {};
  }
  answer.body = input_.substr(0, length);
  input_.erase(0, length);
  return answer;
}

RawClient::Answer RawClient::ask(std::string_view bytes, Body body) {
  send(bytes);
  return receive(body);
}

bool RawClient::is_closed_by_server() {
  if (!input_.empty()) return false;
  char byte = 0;
  return wire_->tls ? SSL_read(wire_->tls, &byte, 1) <= 0 : ::recv(wire_->descriptor, &byte, 1, 0) == 0;
}

void make_test_certificate(const std::filesystem::path& folder) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
  X509_add_ext(certificate, names, -1);
  X509_EXTENSION_free(names);
  CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
  std::FILE* file = std::fopen((folder / "server.pem").c_str(), "w");
  CHECK(file && PEM_write_X509(file, certificate) == 1 && std::fclose(file) == 0);
  file = std::fopen((folder / "key.pem").c_str(), "w");
  CHECK(file && PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1 && std::fclose(file) == 0);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

TestFolder::TestFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "atelier-http-XXXXXX").string();
  CHECK(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TestFolder::write(const std::filesystem::path& name, std::string_view content) const {
  const auto file = path_ / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

}  // namespace atelier::http
