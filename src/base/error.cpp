#include "base/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace atelier {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "InvalidArgument";
    case Code::kNotFound:
      return "NotFound";
    case Code::kAlreadyExists:
      return "AlreadyExists";
    case Code::kFailedPrecondition:
      return "FailedPrecondition";
    case Code::kConflict:
      return "Conflict";
    case Code::kUnauthenticated:
      return "Unauthenticated";
    case Code::kPermissionDenied:
      return "PermissionDenied";
    case Code::kTooLarge:
      return "TooLarge";
    case Code::kResourceExhausted:
      return "ResourceExhausted";
    case Code::kUnavailable:
      return "Unavailable";
    case Code::kCanceled:
      return "Canceled";
    case Code::kDataLoss:
      return "DataLoss";
    case Code::kUnsupported:
      return "Unsupported";
    case Code::kInternal:
      return "Internal";
  }
  return "Internal";
}

Error Error::during(std::string_view doing) const {
  Error wrapped = *this;
  wrapped.message_ = fmt::format("{}: {}", doing, message_);
  return wrapped;
}

namespace {

Code code_of_errno(int saved_errno) {
  switch (saved_errno) {
    case ENOSPC:
    case EDQUOT:
      return Code::kResourceExhausted;
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    default:
      return Code::kInternal;
  }
}

}  // namespace

Error errno_error(int saved_errno, std::string_view doing) {
  return {code_of_errno(saved_errno),
          fmt::format("{}: {}", doing, std::error_code(saved_errno, std::generic_category()).message())};
}

}  // namespace atelier
