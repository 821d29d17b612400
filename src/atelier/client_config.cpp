#include "atelier/client_config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/json.h"

namespace atelier::cli {
namespace {

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

Status write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) return fail(errno_error(errno, "write the configuration"));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

std::filesystem::path config_file() {
  const std::string xdg = environment("XDG_CONFIG_HOME");
  const std::filesystem::path base = xdg.empty() ? environment("HOME") + "/.config" : xdg;
  return base / "atelier" / "config.json";
}

Result<ClientConfig> load_config() {
  ClientConfig config;
  std::ifstream file(config_file(), std::ios::binary);
  if (!file) return config;
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto object = parse_json_object(text);
  if (!object) {
    return fail(Code::kFailedPrecondition,
                fmt::format("{} is damaged. Sign in again: atelier login.", config_file().string()));
  }
  config.server = string_at(*object, "server");
  config.ca_file = string_at(*object, "caFile");
  config.user_name = string_at(*object, "userName");
  config.token = string_at(*object, "token");
  config.refresh_token = string_at(*object, "refreshToken");
  config.resource_group = string_at(*object, "resourceGroup");
  if (const auto expires = parse_rfc3339(string_at(*object, "tokenExpiresAt"))) config.token_expires_at = *expires;
  return config;
}

Status save_config(const ClientConfig& config) {
  const json::object object{{"server", config.server},
                            {"caFile", config.ca_file},
                            {"userName", config.user_name},
                            {"token", config.token},
                            {"tokenExpiresAt", to_rfc3339(config.token_expires_at)},
                            {"refreshToken", config.refresh_token},
                            {"resourceGroup", config.resource_group}};
  const std::filesystem::path file = config_file();
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  if (error) return fail(errno_error(error.value(), "make the folder " + file.parent_path().string()));
  ::chmod(file.parent_path().c_str(), 0700);
  const std::filesystem::path draft = file.string() + "." + std::to_string(::getpid());
  const int descriptor = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return fail(errno_error(errno, "write " + draft.string()));
  const Status written = write_all(descriptor, to_text(object) + "\n");
  ::close(descriptor);
  if (written && ::rename(draft.c_str(), file.c_str()) == 0) return {};
  const int saved = errno;
  ::unlink(draft.c_str());
  return written ? fail(errno_error(saved, "write " + file.string())) : written;
}

}  // namespace atelier::cli
