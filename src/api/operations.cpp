// Long operations as clients poll them (operationResults, capsOperations), their list, and how to cancel one.
#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "api/answers.h"
#include "api/envelope.h"
#include "api/errors.h"
#include "api/odata_filter.h"
#include "api/own_routes.h"
#include "base/text.h"
#include "db/database.h"
#include "http/message.h"
#include "ops/runner.h"
#include "ops/submit.h"

namespace atelier::api {
namespace {

constexpr std::string_view kLabServices = "Microsoft.LabServices";
constexpr std::string_view kCompute = "Microsoft.Compute";

// The resource that the operation makes or works on: what a client shows a link to.
std::string resource_id_of(const ops::Operation& operation) {
  const std::string from_result = string_at(operation.result, "resourceId");
  if (!from_result.empty()) return from_result;
  return string_at(operation.input, "resourceId", operation.target_id);
}

json::object progress_of(const ops::Operation& operation) {
  const Progress& progress = operation.progress;
  json::object shown{{"phase", progress.phase},
                     {"bytesDone", progress.bytes_done},
                     {"bytesTotal", progress.bytes_total},
                     {"newBytes", progress.bytes_new},
                     {"knownBytes", progress.bytes_known},
                     {"bytesPerSecond", std::llround(operation.bytes_per_second)}};
  if (const auto eta = ops::eta_seconds(operation)) shown["etaSeconds"] = *eta;
  if (operation.progress_at != TimePoint{}) shown["updatedAt"] = to_rfc3339(operation.progress_at);
  return shown;
}

json::object operation_body(const ops::Operation& operation) {
  json::object body{{"id", fmt::format("/subscriptions/{}/providers/{}/locations/{}/operationResults/{}",
                                       operation.subscription_id, kLabServices, operation.location, operation.id)},
                    {"name", operation.id},
                    {"status", ops::to_string(operation.state)},
                    {"startTime", to_rfc3339(operation.started_at.value_or(operation.created_at))},
                    {"percentComplete", std::round(ops::percent_complete(operation) * 10) / 10}};
  if (operation.ended_at) body["endTime"] = to_rfc3339(*operation.ended_at);
  if (operation.error) {
    body["error"] = error_object(*operation.error);
  } else if (operation.state == ops::State::kFailed || operation.state == ops::State::kCanceled) {
    body["error"] = json::object{{"code", "OperationFailed"}, {"message", "The operation did not succeed."}};
  }
  body["properties"] = json::object{{"kind", operation.kind},
                                    {"targetId", operation.target_id},
                                    {"resourceId", resource_id_of(operation)},
                                    {"createdBy", operation.principal},
                                    {"createdAt", to_rfc3339(operation.created_at)},
                                    {"cancelRequested", operation.cancel_requested},
                                    {"attempts", operation.attempts},
                                    {"progress", progress_of(operation)}};
  const std::string consistency = string_at(operation.result, "consistencyMode");  // of an exported VM's disk
  if (!consistency.empty()) set_at(body, "properties.consistencyMode", json::value(consistency));
  return body;
}

Result<ops::Operation> require_operation(const Call& call, db::Transaction& transaction) {
  std::optional<ops::Operation> operation = TRY(ops::find(transaction, call.param("operation")));
  if (operation && equals_ignoring_case(operation->subscription_id, call.context.subscription_id)) {
    return *std::move(operation);
  }
  return fail(Error(Code::kNotFound, fmt::format("The operation '{}' was not found. Finished operations are kept for "
                                                 "30 days.",
                                                 call.param("operation").substr(0, 80)))
                  .with_reason("ResourceNotFound"));
}

// What a client that follows Location gets at the end: what was made, if that is still there.
http::Response outcome_of(const ops::Operation& operation, const std::optional<db::Resource>& made) {
  if (operation.state != ops::State::kSucceeded) {
    return error_response(operation.error.value_or(Error(Code::kCanceled, "The operation was canceled.")));
  }
  if (operation.kind == "CreateImageVersion" && made) return answer_resource(200, *made);
  return answer_json(200, operation_body(operation));
}

Result<http::Response> answer_operation(Call& call, std::string_view provider) {
  TRY(check_subscription(call));
  std::optional<db::Resource> made;
  const auto read = [&](db::Transaction& transaction) -> Result<ops::Operation> {
    ops::Operation found = TRY(require_operation(call, transaction));
    made = TRY(db::find_resource(transaction, resource_id_of(found)));
    return found;
  };
  const ops::Operation operation = TRY(call.context.parts.database.read(read));
  const bool monitors = equals_ignoring_case(call.request.query_value("monitor").value_or(""), "true");
  if (monitors && ops::is_finished(operation.state)) return outcome_of(operation, made);
  http::Response response = answer_json(monitors ? 202 : 200, operation_body(operation));
  // Location must stay 202 while it runs: a 200 would be taken for the result.
  if (monitors) add_operation_headers(response, call, {provider, operation.location}, operation.id);
  if (!ops::is_finished(operation.state)) response.set_header("Retry-After", "1");
  return response;
}

Result<ops::Query> query_of(const Call& call) {
  ops::Query query;
  query.subscription_id = call.context.subscription_id;
  const std::string filter = call.request.query_value("$filter").value_or("");
  const std::string status = TRY(filter_value(filter, "status"));
  query.target_prefix = TRY(filter_value(filter, "targetId"));
  if (equals_ignoring_case(status, "InProgress")) {
    query.unfinished_only = true;  // with those that wait for a worker
  } else if (!status.empty()) {
    const auto state = ops::parse_state(status);
    if (!state) return fail(Error(state.error()).with_target("$filter"));
    query.state = *state;
  }
  query.limit = call.context.page_size;
  if (const auto top = call.request.query_value("$top")) {
    const auto number = parse_uint64(*top);
    if (!number || *number == 0) {
      return fail(
          Error(Code::kInvalidArgument, "The query parameter $top must be a number from 1.").with_target("$top"));
    }
    query.limit = static_cast<std::size_t>(std::min<std::uint64_t>(*number, query.limit));
  }
  if (const auto token = call.request.query_value("$skipToken")) query.after = TRY(key_of_skip_token(*token));
  return query;
}

Result<http::Response> list_operations(Call& call) {
  TRY(check_subscription(call));
  const ops::Query query = TRY(query_of(call));
  const std::vector<ops::Operation> page = TRY(
      call.context.parts.database.read([&](db::Transaction& transaction) { return ops::list(transaction, query); }));
  json::array value;
  for (const ops::Operation& operation : page) value.push_back(operation_body(operation));
  json::object body{{"value", std::move(value)}};
  if (page.size() == query.limit) body["nextLink"] = next_link(call, page.back().id);
  return answer_json(200, body);
}

Result<http::Response> cancel_operation(Call& call) {
  TRY(check_subscription(call));
  const auto cancel = [&](db::Transaction& transaction) -> Result<ops::Operation> {
    const ops::Operation operation = TRY(require_operation(call, transaction));
    TRY(ops::request_cancel(transaction, operation.id));
    return require_operation(call, transaction);
  };
  const ops::Operation operation = TRY(call.context.parts.database.write(cancel));
  call.context.parts.runner.wake();
  http::Response response = answer_json(202, operation_body(operation));
  add_operation_headers(response, call, {kLabServices, operation.location}, operation.id);
  return response;
}

}  // namespace

void add_operation_routes(ArmRoutes& routes) {
  // Azure's own examples ask for these without an api-version.
  const ArmRoutes::Options options{.needs_api_version = false};
  for (const std::string_view provider : {kLabServices, kCompute, std::string_view("Microsoft.Resources")}) {
    const auto get = [provider](Call& call) { return answer_operation(call, provider); };
    const std::string scope = fmt::format("{{subscription}}/providers/{}", provider);
    for (const char* collection : {"operationResults", "capsOperations", "operations"}) {
      routes.add("GET", fmt::format("{}/locations/{{location}}/{}/{{operation}}", scope, collection), get, options);
    }
    routes.add("GET", scope + "/operationResults", list_operations, options);
    routes.add("GET", scope + "/operationResults/{operation}", get, options);
    for (const char* place : {"/operationResults/{operation}", "/locations/{location}/operationResults/{operation}",
                              "/locations/{location}/capsOperations/{operation}"}) {
      routes.add("POST", fmt::format("{}{}/cancel", scope, place), cancel_operation, options);
    }
  }
}

}  // namespace atelier::api
