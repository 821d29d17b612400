// DELETE resourceGroups/{rg}: everything in it goes, in an order in which nothing loses what it stands on: labs, lab
// plans, image versions, definitions, galleries, disks, the group. The one journey that spans galleries and labs, so
// it is here, above both.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/context.h"
#include "base/error.h"
#include "base/task_context.h"
#include "db/resources.h"
#include "ops/operation.h"

namespace atelier::ops {
class Runner;
}

namespace atelier::api {

namespace delete_group {

inline constexpr std::string_view kKind = "DeleteResourceGroup";

struct Accepted {
  std::string location;
  std::string operation_id;
};

// Nothing when there is no such group. Marks it Deleting, so that nothing new begins in it, and asks every operation on
// something in it to stop. kConflict while it is being deleted.
Result<std::optional<Accepted>> begin(db::Transaction& transaction, std::string_view group_id,
                                      const std::string& principal);
// Waits (kUnavailable: tried again) until no other operation works on something in the group.
Result<json::object> run(const ops::Operation& operation, const Context& context, TaskContext& task);
// Sets the group Failed: what is left can be used and deleted again.
Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error);

}  // namespace delete_group

// The operations that belong to no single folder below: DeleteResourceGroup. Before runner.start(); `context` outlives
// the runner.
void add_journeys(ops::Runner& runner, const Context& context);

}  // namespace atelier::api
