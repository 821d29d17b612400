// Options that every command of the service's client takes, and the moment it may be told to stop.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

namespace CLI {
class App;
}

namespace atelier::cli {

enum class ProgressMode { kAuto, kJson, kNone };

struct ClientOptions {
  std::string server;            // over ATELIER_SERVER over the configuration
  std::string ca_file;           // over ATELIER_CA
  std::string resource_group;    // a short name
  unsigned timeout_seconds = 0;  // of waiting for an operation; 0 waits for ever
  ProgressMode progress = ProgressMode::kAuto;
};

// Declares them on the whole program, so that they may stand before or after a command.
void add_client_options(CLI::App& app, ClientOptions& options);

// Asked to stop once Ctrl-C is pressed or SIGTERM comes. The first call arranges for that; call it before any thread is
// started.
std::stop_token interrupt_token();

}  // namespace atelier::cli
