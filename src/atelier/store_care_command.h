// `atelier store`: keeping a store sound and small.
#pragma once

#include "atelier/command.h"

namespace CLI {
class App;
}

namespace atelier::cli {

// remove, undelete, gc, verify, fsck and index rebuild, below `group`, the store command. `program` must outlive the
// run.
void add_store_care_commands(CLI::App& group, Program& program);

}  // namespace atelier::cli
