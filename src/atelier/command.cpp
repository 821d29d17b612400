#include "atelier/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace atelier::cli {

ExitCode exit_code_of(const Error& error) {
  if (error.reason() == "Timeout") return ExitCode::kTimeout;
  switch (error.code()) {
    case Code::kInvalidArgument:
    case Code::kTooLarge:
    case Code::kUnsupported:
      return ExitCode::kUsage;
    case Code::kNotFound:
      return ExitCode::kMissing;
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
    case Code::kConflict:
      return ExitCode::kConflict;
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      return ExitCode::kAuthentication;
    case Code::kCanceled:
      return ExitCode::kInterrupted;
    case Code::kResourceExhausted:
    case Code::kUnavailable:
    case Code::kDataLoss:
    case Code::kInternal:
      return ExitCode::kFailed;
  }
  return ExitCode::kFailed;
}

void print_table(const Table& table) {
  std::vector<std::size_t> widths(table.header.size());
  const auto widen = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  };
  widen(table.header);
  for (const auto& row : table.rows) widen(row);
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
      line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    print_line(line);
  };
  print(table.header);
  for (const auto& row : table.rows) print(row);
}

void print_json(const json::value& value) { print_line(to_text(value)); }

void print_line(const std::string& text) { fmt::print(stdout, "{}\n", text); }

void show_progress(const std::string& text) {
  static const bool is_terminal = ::isatty(STDERR_FILENO) == 1;
  if (is_terminal) fmt::print(stderr, "\r{}\033[K", text);
}

void clear_progress() { show_progress(""); }

}  // namespace atelier::cli
