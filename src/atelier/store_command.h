// `atelier store`: work on a store's folder without a server.
#pragma once

#include "atelier/command.h"
#include "base/task_context.h"

namespace CLI {
class App;
}

namespace atelier::cli {

// init, put, capture, get, list and stats, and those of store_care_command.h. `program` must outlive the run.
void add_store_commands(CLI::App& app, Program& program);

// Work that shows how far it is on the terminal.
TaskContext task_with_progress();

}  // namespace atelier::cli
