// Table operations: the queue of background jobs and their history. What the columns mean and who may do what with them
// is ops' business; the claims and leases are decided here, because they are SQL.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace atelier::db {

class Transaction;

struct OperationRow {
  std::string id = {};
  std::string kind = {};
  std::string subscription_id = {};
  std::string location = {};
  std::string target_id = {};
  std::string principal = {};
  std::string exclusive_key = {};
  json::object input = {};
  json::object result = {};
  std::string state = {};      // "NotStarted", "InProgress", or how it ended
  json::object progress = {};  // ops' form
  json::object error = {};     // ops' form; empty when there is none
  TimePoint progress_at = {};
  std::int64_t attempts = 0;
  bool cancel_requested = false;
  TimePoint created_at = {};
  std::optional<TimePoint> started_at = {};
  std::optional<TimePoint> ended_at = {};
};

// Only what a new row has: id, kind, subscription_id, location, target_id, principal, exclusive_key, input.
Status insert_operation(Transaction& transaction, const OperationRow& row);

Result<std::optional<OperationRow>> find_operation(Transaction& transaction, std::string_view id);
// The unfinished one with this key. Look before insert_operation: a taken key fails it with kAlreadyExists.
Result<std::optional<OperationRow>> find_exclusive_operation(Transaction& transaction, std::string_view exclusive_key);

struct OperationQuery {
  std::string subscription_id = {};  // "" means all; any case
  std::string target_prefix = {};    // this id and all below it; "" means all; any case
  std::string state = {};            // "" means all
  bool unfinished_only = false;
  std::string after_id = {};  // begins behind this one; kInvalidArgument when it does not exist
  std::size_t limit = 100;
};
// Newest first.
Result<std::vector<OperationRow>> list_operations(Transaction& transaction, const OperationQuery& query);

// False when there is no unfinished operation with this id.
Result<bool> request_operation_cancel(Transaction& transaction, std::string_view id);

// --- What a runner does. A lease is a name made for one claim: whoever has another name no longer owns the job. ---

// Ends all leases: for the only runner of a database, at its start.
Status release_leases(Transaction& transaction);

struct Claim {
  std::vector<std::string> kinds;  // at least one
  std::string lease;
  std::chrono::milliseconds lease_time;
};
struct Claimed {
  OperationRow row;
  bool first = false;  // nobody ever had it before
};
// The oldest operation that is due and that nobody holds: now InProgress, one attempt more, held by the lease.
Result<std::optional<Claimed>> claim_operation(Transaction& transaction, const Claim& claim);

struct LeaseState {
  bool held = false;
  bool cancel_requested = false;
};
Result<LeaseState> renew_lease(Transaction& transaction, std::string_view id, std::string_view lease,
                               std::chrono::milliseconds lease_time);
Result<LeaseState> write_progress(Transaction& transaction, std::string_view id, std::string_view lease,
                                  const json::object& progress);

struct OperationEnd {
  std::string state = {};
  json::object result = {};
  json::object error = {};
  json::object progress = {};
};
// False when the lease is no longer held; then nothing was written.
Result<bool> finish_operation(Transaction& transaction, std::string_view id, std::string_view lease,
                              const OperationEnd& end);

enum class AttemptCounts { kYes, kNo };
// Gives the job back, to be claimed again after `pause`. False when the lease is no longer held.
Result<bool> requeue_operation(Transaction& transaction, std::string_view id, std::string_view lease,
                               std::chrono::milliseconds pause, AttemptCounts attempt);

// Deletes at most `limit` operations that ended before `before`; how many there were.
Result<std::size_t> erase_finished_operations(Transaction& transaction, TimePoint before, std::size_t limit);

}  // namespace atelier::db
