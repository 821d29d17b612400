// Expected failures are values: Result<T> holds a T or an Error. Exceptions come only from libraries and end at the
// folder that owns the library.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace atelier {

// What kind of failure it is: decides the HTTP status, the command line's exit code and whether a retry can help.
enum class Code {
  kInvalidArgument,     // the input is wrong whatever the state is
  kNotFound,            // what was named does not exist, or the caller may not see it
  kAlreadyExists,       // the name is taken
  kFailedPrecondition,  // the state forbids it now: VM running, gallery not attached, version in use
  kConflict,            // somebody else changed it or is busy with it: reload and try again
  kUnauthenticated,     // no token, or one that does not hold
  kPermissionDenied,    // known caller, not allowed
  kTooLarge,            // over a bound: body, disk, page
  kResourceExhausted,   // disk full, quota reached, too many at once
  kUnavailable,         // a part does not answer; trying again later may help
  kCanceled,            // stopped because somebody asked for it
  kDataLoss,            // bytes are not what their digest says
  kUnsupported,         // understood, and not offered
  kInternal,            // our bug, or a library failed in a way we did not foresee
};

std::string_view to_string(Code code);

// A failure. `message` is one or more sentences for a person: what was wrong, where, what to do. It must hold no
// secret and no host path when it can reach an API answer; put those in the log instead.
class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // The field or resource at fault, e.g. "properties.targetRegions[1].name"; empty when there is none.
  const std::string& target() const { return target_; }
  // A stable PascalCase word that is more exact than code(), e.g. "ParentResourceNotFound"; empty for the code's own.
  const std::string& reason() const { return reason_; }

  Error& with_target(std::string target) & { return target_ = std::move(target), *this; }
  Error&& with_target(std::string target) && { return target_ = std::move(target), std::move(*this); }
  Error& with_reason(std::string reason) & { return reason_ = std::move(reason), *this; }
  Error&& with_reason(std::string reason) && { return reason_ = std::move(reason), std::move(*this); }

  // Says what was being done: during("replicate 1.0.3") turns "disk full" into "replicate 1.0.3: disk full".
  Error during(std::string_view doing) const;

 private:
  Code code_;
  std::string message_;
  std::string target_;
  std::string reason_;
};

template <typename T>
using Result = std::expected<T, Error>;

using Status = Result<void>;

// Shorthand for the usual return of a failure: return fail(Code::kNotFound, "...").
inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected(Error(code, std::move(message)));
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

// The Error for a failed system call; `doing` says which, e.g. "write packs/ab". Maps ENOSPC and EDQUOT to
// kResourceExhausted, ENOENT to kNotFound, EEXIST to kAlreadyExists, others to kInternal.
Error errno_error(int saved_errno, std::string_view doing);

}  // namespace atelier

// Evaluates a Result; returns its error from the enclosing function, or gives its value. Let it begin its expression,
// as an initializer or alone: GCC does not destroy temporaries that a larger expression made before a TRY inside it
// leaves.
#define TRY(expression)                                                                   \
  __extension__({                                                                         \
    auto try_result_ = (expression);                                                      \
    if (!try_result_.has_value()) return std::unexpected(std::move(try_result_).error()); \
    std::move(try_result_).value();                                                       \
  })

// The same, naming what was being done when it failed.
#define TRY_DURING(expression, doing)                                                          \
  __extension__({                                                                              \
    auto try_result_ = (expression);                                                           \
    if (!try_result_.has_value()) return std::unexpected(try_result_.error().during((doing))); \
    std::move(try_result_).value();                                                            \
  })
