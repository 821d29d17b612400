// What every command of the program shares: the output format, what runs once the command line is understood, and how
// an outcome becomes an exit code.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace atelier::cli {

// Stable: scripts build on them. The numbers are those of `az` where it has one.
enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kMissing = 3,
  kConflict = 4,  // also: a precondition that does not hold
  kAuthentication = 5,
  kTimeout = 6,
  kInterrupted = 130,
};
ExitCode exit_code_of(const Error& error);

enum class OutputFormat { kTable, kJson };

// A command group's add_..._commands(CLI::App&, Program&) declares subcommands whose callbacks set `run`; main() calls
// it after the whole line was parsed. Data goes to standard output, messages to standard error.
struct Program {
  OutputFormat output = OutputFormat::kTable;
  std::function<Status()> run;
};

// One line with a column per cell; numbers are the caller's to format.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

void print_table(const Table& table);
// Without control characters: what came from elsewhere must not steer the terminal.
std::string printable(std::string text);
// How many columns of a terminal the UTF-8 text takes: two for each Japanese, Chinese or Korean character.
std::size_t display_width(std::string_view text);
void print_json(const json::value& value);
// A line of text on standard output.
void print_line(const std::string& text);

// A progress line on standard error, drawn over itself; nothing unless that is a terminal. Any thread.
void show_progress(const std::string& text);
// Takes the progress line away, before other output.
void clear_progress();

}  // namespace atelier::cli
