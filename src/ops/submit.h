// What a request handler does with operations, always inside its own transaction.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ops/operation.h"

namespace atelier::db {
class Transaction;
}

namespace atelier::ops {

struct NewOperation {
  std::string kind = {};
  std::string subscription_id = {};
  std::string location = {};
  std::string target_id = {};
  std::string principal = {};
  json::object input = {};
  std::string exclusive_key = {};  // at most one unfinished operation per non-empty key
};

// Queues the operation and gives its id; call Runner::wake() after the commit. kConflict (reason "OperationInProgress",
// the running one's id in the message and as target) when an unfinished operation has the same exclusive_key.
Result<std::string> submit(db::Transaction& transaction, const NewOperation& operation);

Result<std::optional<Operation>> find(db::Transaction& transaction, std::string_view id);

struct Query {
  std::string subscription_id = {};  // "" means all; any case
  std::string target_prefix = {};    // operations on this id or anything below it; "" means all; any case
  std::optional<State> state = {};   // only those in this state
  bool unfinished_only = false;      // only NotStarted and InProgress
  std::string after = {};  // paging: the last id of the page before; kInvalidArgument when there is no such one
  std::size_t limit = 100;
};
// Newest first.
Result<std::vector<Operation>> list(db::Transaction& transaction, const Query& query);

// Asks the operation to stop; call Runner::wake() after the commit. Ok when asked before. kNotFound;
// kFailedPrecondition when it is finished.
Status request_cancel(db::Transaction& transaction, std::string_view id);

}  // namespace atelier::ops
