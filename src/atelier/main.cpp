// atelier: the command line of Atelier.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <exception>
#include <map>
#include <string>

#include "atelier/account_command.h"
#include "atelier/client_options.h"
#include "atelier/command.h"
#include "atelier/gallery_command.h"
#include "atelier/group_command.h"
#include "atelier/image_command.h"
#include "atelier/lab_command.h"
#include "atelier/login_command.h"
#include "atelier/operation_command.h"
#include "atelier/store_command.h"
#include "atelier/template_command.h"

namespace {

using namespace atelier::cli;

int finish(ExitCode code) {
  // Output that did not arrive (a full disk) is a failure as well.
  const bool is_written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!is_written) fmt::print(stderr, "atelier: The output could not be written. Is the disk full?\n");
  return static_cast<int>(is_written || code != ExitCode::kOk ? code : ExitCode::kFailed);
}

int run(int argc, char** argv) {
  Program program;
  CLI::App app("The command line of Atelier: labs with a shared image gallery.", "atelier");
  app.set_version_flag("--version", ATELIER_VERSION);
  app.fallthrough();  // so that --output may stand after the command, too
  app.require_subcommand(1);
  const std::map<std::string, OutputFormat> formats = {{"table", OutputFormat::kTable}, {"json", OutputFormat::kJson}};
  app.add_option("-o,--output", program.output, "table or json")
      ->transform(CLI::CheckedTransformer(formats, CLI::ignore_case))
      ->option_text("FORMAT");
  ClientOptions options;
  add_client_options(app, options);
  add_login_commands(app, program, options);
  add_group_commands(app, program, options);
  add_gallery_commands(app, program, options);
  add_image_commands(app, program, options);
  add_account_commands(app, program, options);
  add_lab_commands(app, program, options);
  add_template_commands(app, program, options);
  add_operation_commands(app, program, options);
  add_store_commands(app, program);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);  // prints help, version or what is wrong
    return finish(code == 0 ? ExitCode::kOk : ExitCode::kUsage);
  }
  const atelier::Status status = program.run();
  if (status) return finish(ExitCode::kOk);
  clear_progress();
  // What the service says comes with its code, "(GalleryNotAttached) …", which scripts and manuals can name.
  const std::string& reason = status.error().reason();
  const std::string mark = reason.empty() ? "atelier: " : "(" + reason + ") ";
  fmt::print(stderr, "{}{}\n", mark, status.error().message());
  return finish(exit_code_of(status.error()));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& exception) {
    fmt::print(stderr, "atelier: {}\n", exception.what());
    return static_cast<int>(ExitCode::kFailed);
  }
}
