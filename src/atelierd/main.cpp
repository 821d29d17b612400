// atelierd: serves the API and the portal, and runs the operations. Ends on SIGTERM or SIGINT.

#include <fmt/format.h>

#include <csignal>
#include <cstdio>

#include "atelierd/options.h"
#include "atelierd/service.h"
#include "base/log.h"

int main(int argc, char** argv) {
  using namespace atelier;
  // Blocked before any thread starts, so that only the wait below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const atelierd::ParsedOptions options = atelierd::parse_options(argc, argv);
  if (!options.has_value()) return options.error();
  if (options->verbose) log::set_level(log::Level::kDebug);
  const auto service = atelierd::Service::start(*options);
  if (!service.has_value()) {
    log::error("{}", service.error().message());
    return 1;
  }
  fmt::print("listening on {}\n", (*service)->base_url());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  log::info("Stopping");
  return 0;
}
