#include "atelier/operation_progress.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <utility>

#include "atelier/command.h"

namespace atelier::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kRestartPatience{120};

struct Doing {
  std::string_view kind;
  std::string_view word;
};

constexpr std::array kDoings = {
    Doing{"ExportImage", "Exporting"},        Doing{"CreateImageVersion", "Importing"},
    Doing{"ReplicateVersion", "Replicating"}, Doing{"DeleteImageVersion", "Deleting"},
    Doing{"CreateLab", "Creating"},           Doing{"DeleteLab", "Deleting"},
    Doing{"StartVirtualMachine", "Starting"}, Doing{"StopVirtualMachine", "Stopping"},
    Doing{"DeleteResourceGroup", "Deleting"},
};

std::string_view doing_of(std::string_view kind) {
  for (const Doing& each : kDoings) {
    if (each.kind == kind) return each.word;
  }
  return "Working";
}

Error timeout_error(const std::string& id) {
  return Error(Code::kUnavailable,
               fmt::format("The wait is over, the operation goes on. Follow it with: atelier operation wait {}", id))
      .with_reason("Timeout");
}

Error detached_error(const std::string& id) {
  return {Code::kCanceled, fmt::format("Detached; the operation goes on. Follow it with: atelier operation wait {}\n"
                                       "Stop it with: atelier operation cancel {}",
                                       id, id)};
}

// Sleeps, and wakes early when somebody wants to stop.
void pause(std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, interrupt_token(), time, [] { return false; });
}

Result<json::object> outcome_of(json::object status) {
  const std::string state = string_at(status, "status");
  if (state == "Succeeded") return status;
  if (state == "Canceled")
    return fail(Error(Code::kInternal, "The operation was canceled.").with_reason("OperationCanceled"));
  return fail(Error(Code::kInternal, string_at(status, "error.message", "The operation failed."))
                  .with_reason(string_at(status, "error.code", "OperationFailed")));
}

std::optional<double> number_at(const json::object& object, std::string_view path) {
  const json::value* value = atelier::find(object, path);
  if (!value || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

}  // namespace

std::string progress_line(const ProgressNumbers& numbers) {
  std::string line(numbers.doing);
  if (numbers.percent) line += fmt::format(" {:.0f}%", *numbers.percent);
  if (numbers.bytes_per_second > 0) {
    line += fmt::format(" ({:.1f}MB/s)", static_cast<double>(numbers.bytes_per_second) / 1e6);
  }
  if (numbers.eta_seconds) {
    const std::int64_t eta = *numbers.eta_seconds;
    line += eta < 3600 ? fmt::format(" ETA {:02}:{:02}", eta / 60, eta % 60)
                       : fmt::format(" ETA {}:{:02}:{:02}", eta / 3600, eta / 60 % 60, eta % 60);
  }
  if (!numbers.phase.empty()) line += fmt::format(" [{}]", numbers.phase);
  return line;
}

std::string progress_line(const json::object& status) {
  const std::string kind = string_at(status, "properties.kind");
  const std::string phase = string_at(status, "properties.progress.phase");
  ProgressNumbers numbers{
      .doing = doing_of(kind), .percent = {}, .bytes_per_second = 0, .eta_seconds = {}, .phase = phase};
  numbers.percent = number_at(status, "percentComplete");
  if (const auto rate = number_at(status, "properties.progress.bytesPerSecond"); rate && *rate > 0) {
    numbers.bytes_per_second = static_cast<std::uint64_t>(*rate);
  }
  if (const auto eta = number_at(status, "properties.progress.etaSeconds"); eta && *eta >= 0) {
    numbers.eta_seconds = static_cast<std::int64_t>(*eta);
  }
  return progress_line(numbers);
}

void show_operation(const json::object& status, const ClientOptions& options) {
  if (options.progress == ProgressMode::kAuto) show_progress(progress_line(status));
  if (options.progress != ProgressMode::kJson) return;
  fmt::print(stderr, "{}\n", to_text(status));
  std::fflush(stderr);
}

std::string operation_id_of(std::string_view operation_url) {
  const std::string_view path = operation_url.substr(0, operation_url.find('?'));
  return std::string(path.substr(path.rfind('/') + 1));
}

Result<json::object> follow_operation(ArmClient& client, const std::string& operation_url,
                                      const ClientOptions& options) {
  const std::string id = operation_id_of(operation_url);
  const auto began = Clock::now();
  auto last_answer = began;
  std::chrono::milliseconds wait{200};
  while (true) {
    auto status = client.get(operation_url);
    const auto asked = Clock::now();
    if (interrupt_token().stop_requested()) return fail(detached_error(id));
    if (status) {
      last_answer = asked;
      show_operation(*status, options);
      const std::string state = string_at(*status, "status");
      if (state == "Succeeded" || state == "Failed" || state == "Canceled") {
        clear_progress();
        return outcome_of(std::move(*status));
      }
    } else if (status.error().code() != Code::kUnavailable || asked - last_answer > kRestartPatience) {
      return status;
    }
    if (options.timeout_seconds > 0 && asked - began >= std::chrono::seconds(options.timeout_seconds)) {
      return fail(timeout_error(id));
    }
    pause(wait);
    if (interrupt_token().stop_requested()) return fail(detached_error(id));
    wait = std::min(wait * 2, std::chrono::milliseconds(1000));
  }
}

}  // namespace atelier::cli
