// For the sources of this folder only: operations as their table keeps them.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/task_context.h"
#include "db/operations.h"
#include "ops/operation.h"

namespace atelier::ops {

// A row that cannot be read in full (written by a newer program) gives what can be read.
Operation from_row(const db::OperationRow& row);

json::object progress_to_json(const Progress& progress, double bytes_per_second);
json::object error_to_json(const Error& error);

}  // namespace atelier::ops
