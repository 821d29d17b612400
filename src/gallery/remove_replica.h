// PUT versions/{v} without a region it had: the replica there goes, the version and its other regions stay.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "catalog/parts.h"
#include "db/resources.h"
#include "ops/operation.h"

namespace atelier::gallery::remove_replica {

inline constexpr std::string_view kKind = "RemoveReplica";

// Queues the operation and takes the region out of `version`, which the caller then updates in the same transaction; a
// replication that is still on its way there is asked to stop. Gives the operation's id.
Result<std::string> begin(db::Transaction& transaction, db::Resource& version, const std::string& region,
                          const std::string& principal);
Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, TaskContext& task);

}  // namespace atelier::gallery::remove_replica
