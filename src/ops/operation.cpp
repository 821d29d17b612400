#include "ops/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace atelier::ops {
namespace {

constexpr std::array kStates = {State::kNotStarted, State::kInProgress, State::kSucceeded, State::kFailed,
                                State::kCanceled};

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::kNotStarted:
      return "NotStarted";
    case State::kInProgress:
      return "InProgress";
    case State::kSucceeded:
      return "Succeeded";
    case State::kFailed:
      return "Failed";
    case State::kCanceled:
      return "Canceled";
  }
  return "Failed";
}

Result<State> parse_state(std::string_view word) {
  for (const State state : kStates) {
    if (equals_ignoring_case(word, to_string(state))) return state;
  }
  return fail(Code::kInvalidArgument,
              fmt::format("'{}' is not a state of an operation. Use NotStarted, InProgress, Succeeded, Failed or "
                          "Canceled.",
                          word));
}

bool is_finished(State state) { return state != State::kNotStarted && state != State::kInProgress; }

double percent_complete(const Operation& operation) {
  if (operation.state == State::kSucceeded) return 100;
  const Progress& progress = operation.progress;
  if (progress.bytes_total == 0) return 0;
  const double part = static_cast<double>(progress.bytes_done) / static_cast<double>(progress.bytes_total);
  // A job whose bytes are all read still has to commit them: 100 is for those that succeeded.
  return std::min(std::floor(part * 1000) / 10, 99.9);
}

std::optional<std::int64_t> eta_seconds(const Operation& operation) {
  const Progress& progress = operation.progress;
  if (operation.state != State::kInProgress || operation.bytes_per_second <= 0 || progress.bytes_total == 0) {
    return std::nullopt;
  }
  if (progress.bytes_done >= progress.bytes_total) return 0;
  const auto left = static_cast<double>(progress.bytes_total - progress.bytes_done);
  return static_cast<std::int64_t>(std::ceil(left / operation.bytes_per_second));
}

}  // namespace atelier::ops
