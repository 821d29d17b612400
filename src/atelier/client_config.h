// What `atelier login` keeps: $XDG_CONFIG_HOME/atelier/config.json, readable by its owner only.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/text.h"

namespace atelier::cli {

struct ClientConfig {
  std::string server;  // "https://127.0.0.1:8443", no slash at the end
  std::string ca_file;
  std::string user_name;
  std::string token;
  TimePoint token_expires_at{};
  std::string refresh_token;
  std::string resource_group;  // used where none is named
};

// $XDG_CONFIG_HOME/atelier/config.json, or ~/.config/atelier/config.json.
std::filesystem::path config_file();

// An empty one when there is no file. kFailedPrecondition when the file cannot be read as ours.
Result<ClientConfig> load_config();
// Replaces the file as a whole, mode 0600, in a folder with mode 0700.
Status save_config(const ClientConfig& config);

}  // namespace atelier::cli
