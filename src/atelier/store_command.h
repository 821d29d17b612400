// `atelier store`: work on a store's folder without a server.
#pragma once

#include "atelier/command.h"

namespace CLI {
class App;
}

namespace atelier::cli {

// init, put, get, list, verify and stats. `program` must outlive the run.
void add_store_commands(CLI::App& app, Program& program);

}  // namespace atelier::cli
