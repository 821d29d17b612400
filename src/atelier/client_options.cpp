#include "atelier/client_options.h"

#include <pthread.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <csignal>
#include <cstdlib>
#include <map>
#include <thread>

namespace atelier::cli {

void add_client_options(CLI::App& app, ClientOptions& options) {
  const std::map<std::string, ProgressMode> modes = {
      {"auto", ProgressMode::kAuto}, {"json", ProgressMode::kJson}, {"none", ProgressMode::kNone}};
  app.add_option("--server", options.server, "The service's URL (or ATELIER_SERVER)")->option_text("URL");
  app.add_option("--ca", options.ca_file, "The CA that signed its certificate (or ATELIER_CA)")->option_text("FILE");
  app.add_option("-g,--group,--resource-group", options.resource_group, "The resource group, where there are several")
      ->option_text("NAME");
  app.add_option("--timeout", options.timeout_seconds, "Stop waiting for an operation after so long")
      ->option_text("SECONDS");
  app.add_option("--progress", options.progress, "auto (a line on a terminal), json or none; on standard error")
      ->transform(CLI::CheckedTransformer(modes, CLI::ignore_case))
      ->option_text("MODE");
}

std::stop_token interrupt_token() {
  static std::stop_source source = [] {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::stop_source made;
    // Waits until the program ends. The second signal ends it at once, should the first not be heard.
    std::thread([signals, made]() mutable {
      int number = 0;
      sigwait(&signals, &number);
      made.request_stop();
      sigwait(&signals, &number);
      std::_Exit(130);
    }).detach();
    return made;
  }();
  return source.get_token();
}

}  // namespace atelier::cli
