#include "atelier/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace atelier::cli {
namespace {

// The blocks whose characters take two columns (Unicode's East Asian Width W and F, without single exceptions).
bool is_wide(char32_t point) {
  struct Block {
    char32_t first;
    char32_t last;
  };
  constexpr std::array kWide = {Block{0x1100, 0x115f}, Block{0x2e80, 0xa4cf},   Block{0xac00, 0xd7a3},
                                Block{0xf900, 0xfaff}, Block{0xfe30, 0xfe6f},   Block{0xff00, 0xff60},
                                Block{0xffe0, 0xffe6}, Block{0x1f300, 0x1faff}, Block{0x20000, 0x3fffd}};
  return std::ranges::any_of(kWide, [&](const Block& block) { return point >= block.first && point <= block.last; });
}

}  // namespace

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

std::string printable(std::string text) {
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if ((lead & 0xc0U) == 0x80U) continue;  // the rest of a character
    const auto next = [&](std::size_t n) -> char32_t {
      return i + n < text.size() ? static_cast<unsigned char>(text[i + n]) & 0x3fU : 0U;
    };
    char32_t point = lead;
    if (lead >= 0xf0) {
      point = ((lead & 0x07U) << 18U) | (next(1) << 12U) | (next(2) << 6U) | next(3);
    } else if (lead >= 0xe0) {
      point = ((lead & 0x0fU) << 12U) | (next(1) << 6U) | next(2);
    }
    width += is_wide(point) ? 2 : 1;
  }
  return width;
}

void print_table(const Table& table) {
  std::vector<std::size_t> widths(table.header.size());
  const auto widen = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  };
  widen(table.header);
  for (const auto& row : table.rows) widen(row);
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      line += printable(row[i]) + std::string(widths[i] - display_width(row[i]) + 2, ' ');
    }
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
