#include "ops/operation_row.h"

namespace atelier::ops {
namespace {

Code parse_code(std::string_view word) {
  for (int number = 0; number < static_cast<int>(Code::kInternal); ++number) {
    if (to_string(static_cast<Code>(number)) == word) return static_cast<Code>(number);
  }
  return Code::kInternal;
}

std::optional<Error> parse_error(const json::object& object) {
  if (object.empty()) return std::nullopt;
  return Error(parse_code(string_at(object, "code")), string_at(object, "message"))
      .with_target(string_at(object, "target"))
      .with_reason(string_at(object, "reason"));
}

}  // namespace

Operation from_row(const db::OperationRow& row) {
  Operation operation;
  operation.id = row.id;
  operation.kind = row.kind;
  operation.subscription_id = row.subscription_id;
  operation.location = row.location;
  operation.target_id = row.target_id;
  operation.principal = row.principal;
  operation.input = row.input;
  operation.result = row.result;
  operation.state = parse_state(row.state).value_or(State::kFailed);
  operation.progress = {.phase = string_at(row.progress, "phase"),
                        .bytes_done = uint_at(row.progress, "bytesDone"),
                        .bytes_total = uint_at(row.progress, "bytesTotal"),
                        .bytes_new = uint_at(row.progress, "newBytes"),
                        .bytes_known = uint_at(row.progress, "knownBytes")};
  operation.bytes_per_second = static_cast<double>(uint_at(row.progress, "bytesPerSecond"));
  operation.progress_at = row.progress_at;
  operation.error = parse_error(row.error);
  operation.attempts = static_cast<int>(row.attempts);
  operation.cancel_requested = row.cancel_requested;
  operation.created_at = row.created_at;
  operation.started_at = row.started_at;
  operation.ended_at = row.ended_at;
  return operation;
}

json::object progress_to_json(const Progress& progress, double bytes_per_second) {
  return {{"phase", progress.phase},
          {"bytesDone", progress.bytes_done},
          {"bytesTotal", progress.bytes_total},
          {"newBytes", progress.bytes_new},
          {"knownBytes", progress.bytes_known},
          {"bytesPerSecond", static_cast<std::uint64_t>(bytes_per_second)}};
}

json::object error_to_json(const Error& error) {
  return {{"code", to_string(error.code())},
          {"message", error.message()},
          {"target", error.target()},
          {"reason", error.reason()}};
}

}  // namespace atelier::ops
