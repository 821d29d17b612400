// A durable background job, as the API shows it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/task_context.h"
#include "base/text.h"

namespace atelier::ops {

enum class State { kNotStarted, kInProgress, kSucceeded, kFailed, kCanceled };

// Azure's words: "NotStarted", "InProgress", "Succeeded", "Failed", "Canceled".
std::string_view to_string(State state);
Result<State> parse_state(std::string_view word);
// Succeeded, Failed and Canceled: nothing changes any more.
bool is_finished(State state);

struct Operation {
  std::string id;    // guid
  std::string kind;  // "ExportImage"
  std::string subscription_id;
  std::string location;
  std::string target_id;  // the resource acted on
  std::string principal;  // who asked
  json::object input;     // all that a restart needs
  json::object result;    // what run() gave; empty until Succeeded
  State state = State::kNotStarted;
  Progress progress;
  double bytes_per_second = 0;  // of progress.bytes_done, over the last seconds; 0 while unknown
  TimePoint progress_at;        // when progress was last written
  std::optional<Error> error;   // of a Failed or Canceled operation
  int attempts = 0;             // how often it was started
  bool cancel_requested = false;
  TimePoint created_at;
  std::optional<TimePoint> started_at;
  std::optional<TimePoint> ended_at;
};

// 0 to 100; 100 when Succeeded; by bytes while those are known.
double percent_complete(const Operation& operation);
// Seconds until all bytes are done at the present rate; absent while that cannot be told.
std::optional<std::int64_t> eta_seconds(const Operation& operation);

}  // namespace atelier::ops
