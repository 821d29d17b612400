#include "api/errors.h"

#include "base/log.h"

namespace atelier::api {
namespace {

struct Answer {
  int status;
  const char* code;
};

Answer answer_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return {400, "InvalidParameter"};
    case Code::kNotFound:
      return {404, "ResourceNotFound"};
    case Code::kAlreadyExists:
      return {409, "Conflict"};
    case Code::kFailedPrecondition:
      return {409, "OperationNotAllowed"};
    case Code::kConflict:
      return {409, "Conflict"};
    case Code::kUnauthenticated:
      return {401, "InvalidAuthenticationToken"};
    case Code::kPermissionDenied:
      return {403, "AuthorizationFailed"};
    case Code::kTooLarge:
      return {413, "PayloadTooLarge"};
    case Code::kResourceExhausted:
      return {507, "InsufficientStorage"};
    case Code::kUnavailable:
      return {503, "ServiceUnavailable"};
    case Code::kCanceled:
      return {409, "OperationCanceled"};
    case Code::kDataLoss:
      return {500, "DataLoss"};
    case Code::kUnsupported:
      return {400, "NotSupported"};
    case Code::kInternal:
      return {500, "InternalServerError"};
  }
  return {500, "InternalServerError"};
}

}  // namespace

int http_status_of(const Error& error) {
  if (error.reason() == "TooManyRequests") return 429;
  return answer_of(error.code()).status;
}

std::string arm_code_of(const Error& error) {
  return error.reason().empty() ? answer_of(error.code()).code : error.reason();
}

json::object error_object(const Error& error) {
  json::object object{{"code", arm_code_of(error)}};
  // What we did not foresee may name files or hosts of this machine: that is for the log.
  if (error.code() == Code::kInternal) {
    object["message"] = "The service failed in a way it did not foresee. Its log has the details.";
  } else {
    object["message"] = error.message();
  }
  if (!error.target().empty()) object["target"] = error.target();
  return object;
}

http::Response error_response(const Error& error) {
  if (error.code() == Code::kInternal) log::error("A request failed: {}", error.message());
  const int status = http_status_of(error);
  http::Response response = http::Response::json(status, json::object{{"error", error_object(error)}});
  response.set_header("x-ms-error-code", arm_code_of(error));
  if (status == 503 || status == 429) response.set_header("Retry-After", "1");
  return response;
}

}  // namespace atelier::api
