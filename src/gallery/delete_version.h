// DELETE versions/{v}: the version's image goes from every region's store, unless somebody else needs the same bytes;
// then its row.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "catalog/parts.h"
#include "db/resources.h"
#include "gallery/creation.h"
#include "ops/operation.h"

namespace atelier::gallery::delete_version {

inline constexpr std::string_view kKind = "DeleteImageVersion";

// Nothing when there is no such version. Marks it Deleting, so that no new VM starts from it, and asks the operations
// that are still at work on it to stop. kConflict while it is being deleted.
Result<std::optional<Accepted>> begin(db::Transaction& transaction, std::string_view version_id,
                                      const std::string& principal);
// Waits (kUnavailable: tried again) until no other operation works on the version.
Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, TaskContext& task);
// Sets the version Failed, so that it can be deleted again.
Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error);

// The work itself, for whoever deletes what holds the version (a resource group). Ok when there is no such version.
// The row must be Deleting, or the caller must see to it that nobody uses it.
Status erase(std::string_view version_id, const catalog::Parts& parts);

}  // namespace atelier::gallery::delete_version
