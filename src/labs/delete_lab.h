// DELETE labs/{l}: its virtual machines with their disks, then its rows. Exported images stay.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "db/database.h"
#include "labs/parts.h"
#include "ops/operation.h"

namespace atelier::labs::delete_lab {

inline constexpr std::string_view kKind = "DeleteLab";

struct Accepted {
  std::string location;
  std::string operation_id;
};

// Nothing when there is no such lab. kConflict while an operation on its virtual machine is unfinished.
Result<std::optional<Accepted>> begin(db::Transaction& transaction, std::string_view lab_id,
                                      std::string_view principal);
Result<json::object> run(const ops::Operation& operation, const Parts& parts, TaskContext& task);
// Sets the lab Failed, so that it can be deleted again.
Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error);

// The work itself, for whoever deletes what holds the lab (a resource group). Ok when there is no such lab. The caller
// sees to it that no operation works on the lab.
Status erase(std::string_view lab_id, const Parts& parts, TaskContext& task);

}  // namespace atelier::labs::delete_lab
