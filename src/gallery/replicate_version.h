// One image version to one more region: compare segment trees, send only missing chunks, root last.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "catalog/parts.h"
#include "db/resources.h"
#include "ops/operation.h"

namespace atelier::gallery::replicate_version {

inline constexpr std::string_view kKind = "ReplicateVersion";

// Queues the operation and sets the region's replica in `version`, which the caller then updates in the same
// transaction. kConflict while the version is being replicated there. Gives the operation's id.
Result<std::string> begin(db::Transaction& transaction, db::Resource& version, const std::string& region,
                          const std::string& principal);
// Goes on where it was when it is started again.
Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, TaskContext& task);
// Marks the region's replica Failed; the version stays what it is.
Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error);

}  // namespace atelier::gallery::replicate_version
