#include "ops/submit.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "db/operations.h"
#include "ops/operation_row.h"

namespace atelier::ops {

Result<std::string> submit(db::Transaction& transaction, const NewOperation& operation) {
  CHECK(!operation.kind.empty());
  const std::string key = to_lower(operation.exclusive_key);
  if (!key.empty()) {
    if (const auto running = TRY(db::find_exclusive_operation(transaction, key))) {
      return fail(
          Error(Code::kConflict,
                fmt::format("Another operation is busy with it: {}, operation {}. Wait for its end or cancel it, "
                            "then try again.",
                            running->kind, running->id))
              .with_reason("OperationInProgress")
              .with_target(running->id));
    }
  }
  const std::string id = new_uuid();
  TRY(db::insert_operation(transaction, {.id = id,
                                         .kind = operation.kind,
                                         .subscription_id = operation.subscription_id,
                                         .location = operation.location,
                                         .target_id = operation.target_id,
                                         .principal = operation.principal,
                                         .exclusive_key = key,
                                         .input = operation.input}));
  return id;
}

Result<std::optional<Operation>> find(db::Transaction& transaction, std::string_view id) {
  const auto row = TRY(db::find_operation(transaction, id));
  if (!row) return std::nullopt;
  return from_row(*row);
}

Result<std::vector<Operation>> list(db::Transaction& transaction, const Query& query) {
  const auto rows =
      TRY(db::list_operations(transaction, {.subscription_id = query.subscription_id,
                                            .target_prefix = query.target_prefix,
                                            .state = query.state ? std::string(to_string(*query.state)) : std::string(),
                                            .unfinished_only = query.unfinished_only,
                                            .after_id = query.after,
                                            .limit = query.limit}));
  std::vector<Operation> operations;
  operations.reserve(rows.size());
  for (const db::OperationRow& row : rows) operations.push_back(from_row(row));
  return operations;
}

Status request_cancel(db::Transaction& transaction, std::string_view id) {
  if (TRY(db::request_operation_cancel(transaction, id))) return {};
  const auto row = TRY(db::find_operation(transaction, id));
  if (!row) return fail(Code::kNotFound, fmt::format("There is no operation {}.", id));
  return fail(Code::kFailedPrecondition,
              fmt::format("The operation has ended already ({}); there is nothing to cancel.", row->state));
}

}  // namespace atelier::ops
