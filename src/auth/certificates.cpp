#include "auth/certificates.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "auth/private_files.h"
#include "auth/x509.h"
#include "base/text.h"

namespace atelier::auth {
namespace {

constexpr std::chrono::days kServerLifetimeMax{825};

bool is_address(const std::string& name) {
  std::array<unsigned char, 16> ignored{};
  return ::inet_pton(AF_INET, name.c_str(), ignored.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), ignored.data()) == 1;
}

bool is_dns_name(const std::string& name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '*';
  };
  return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, is_allowed);
}

// "DNS:localhost,IP:127.0.0.1,…", each once.
Result<std::vector<std::string>> subject_names(const std::vector<std::string>& names) {
  std::vector<std::string> subjects = {"DNS:localhost", "IP:127.0.0.1", "IP:::1"};
  for (const std::string& name : names) {
    const std::string lower = to_lower(name);
    if (!is_address(lower) && !is_dns_name(lower)) {
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' is neither a DNS name nor an IP address; the certificate cannot name it.", name));
    }
    std::string subject = (is_address(lower) ? "IP:" : "DNS:") + lower;
    if (std::ranges::find(subjects, subject) == subjects.end()) subjects.push_back(std::move(subject));
  }
  return subjects;
}

Result<PrivateKey> ensure_key(const std::filesystem::path& path) {
  if (const auto text = TRY(read_file(path))) {
    return TRY_DURING(PrivateKey::parse(*text), fmt::format("read {}", path.filename().string()));
  }
  PrivateKey key = TRY(PrivateKey::make());
  const std::string pem = TRY(key.to_pem());
  TRY(write_file(path, pem, FileMode::kPrivate));
  return key;
}

Result<std::optional<Certificate>> load_certificate(const std::filesystem::path& path) {
  const auto text = TRY(read_file(path));
  if (!text) return std::nullopt;
  return TRY_DURING(Certificate::parse(*text), fmt::format("read {}", path.filename().string()));
}

Error not_ours(std::string_view what) {
  return {
      Code::kFailedPrecondition,
      fmt::format("{} Put back the files that belong together, or move them away so that new ones are made.", what)};
}

Result<Certificate> ensure_ca(const std::filesystem::path& path, const PrivateKey& key,
                              const CertificateOptions& options) {
  const auto kept = TRY(load_certificate(path));
  if (kept && !kept->is_of_key(key)) return fail(not_ours("ca.pem and ca-key.pem do not belong together."));
  if (kept && kept->holds_for(options.renew_before)) return *kept;
  Certificate made = TRY(Certificate::make_ca(key, options.ca_lifetime));
  const std::string pem = TRY(made.to_pem());
  TRY(write_file(path, pem, FileMode::kPublic));
  return made;
}

}  // namespace

Result<CertificateFiles> ensure_certificates(const std::filesystem::path& folder, const CertificateOptions& options) {
  const CertificateFiles files{
      .ca = folder / "ca.pem", .certificate = folder / "server.pem", .key = folder / "server-key.pem"};
  const std::vector<std::string> subjects = TRY(subject_names(options.names));

  if (TRY(read_file(files.ca)) && !TRY(read_file(folder / "ca-key.pem"))) {
    return fail(not_ours("There is a ca.pem without its ca-key.pem."));
  }
  const PrivateKey ca_key = TRY(ensure_key(folder / "ca-key.pem"));
  const Certificate ca = TRY(ensure_ca(files.ca, ca_key, options));

  if (TRY(read_file(files.certificate)) && !TRY(read_file(files.key))) {
    return fail(not_ours("There is a server.pem without its server-key.pem."));
  }
  const PrivateKey server_key = TRY(ensure_key(files.key));
  const auto kept = TRY(load_certificate(files.certificate));
  if (kept && !(kept->is_of_key(server_key) && kept->is_signed_by(ca_key))) {
    return fail(not_ours("server.pem is not of the CA in ca.pem, or not of server-key.pem."));
  }
  if (kept && kept->holds_for(options.renew_before) && kept->names_all(subjects)) return files;
  const Certificate made = TRY(Certificate::make_server(server_key, ca, ca_key, subjects,
                                                        std::min(options.server_lifetime, kServerLifetimeMax)));
  const std::string chain = TRY(made.to_pem())
  +TRY(ca.to_pem());
  TRY(write_file(files.certificate, chain, FileMode::kPublic));
  return files;
}

}  // namespace atelier::auth
