// `atelier lab`.
#pragma once

#include "atelier/client_options.h"
#include "atelier/command.h"

namespace atelier::cli {

void add_lab_commands(CLI::App& app, Program& program, const ClientOptions& options);

}  // namespace atelier::cli
