// A long operation's status body as a line for people, and the wait for its end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "atelier/arm_client.h"
#include "atelier/client_options.h"
#include "base/error.h"
#include "base/json.h"

namespace atelier::cli {

// "Exporting 42% (31.2MB/s) ETA 01:20 [Reading]", without the parts that are not known.
std::string progress_line(const json::object& status);

struct ProgressNumbers {
  std::string_view doing;         // "Exporting"
  std::optional<double> percent;  // 0 to 100
  std::uint64_t bytes_per_second = 0;
  std::optional<std::int64_t> eta_seconds;
  std::string_view phase;
};
std::string progress_line(const ProgressNumbers& numbers);

// Shows one status body as the options want it.
void show_operation(const json::object& status, const ClientOptions& options);

// Follows the operation until it has ended and gives its last status body. Keeps asking while the service is being
// restarted. Fails with the operation's own error when it failed, kCanceled (exit code 130) after Ctrl-C, and reason
// "Timeout" after options.timeout_seconds; the operation goes on then, and the message says how to follow it.
Result<json::object> follow_operation(ArmClient& client, const std::string& operation_url,
                                      const ClientOptions& options);

// The operation's id: the last segment of its URL's path.
std::string operation_id_of(std::string_view operation_url);

}  // namespace atelier::cli
