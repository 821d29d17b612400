#include "atelier/store_care_command.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "atelier/store_command.h"
#include "base/text.h"
#include "image/file_lock.h"
#include "image/fsck.h"
#include "image/image_record.h"
#include "image/pack.h"
#include "image/removed_image.h"
#include "image/store.h"
#include "image/sweep.h"
#include "image/verify.h"

namespace atelier::cli {
namespace {

using image::Access;
using image::Digest;
using image::Problem;

// What the command line gives; each command uses some.
struct Arguments {
  std::string store;
  std::string root;
  bool dry_run = false;
  bool force = false;
  std::uint64_t purge_after_hours = 24;
  std::uint64_t removed_kept_days = 7;
  std::string subset;
  std::vector<std::string> heal_from;
};

json::array to_json(const std::vector<Problem>& problems) {
  json::array all;
  for (const Problem& problem : problems) {
    all.push_back(json::object{{"object", problem.object}, {"what", problem.what}});
  }
  return all;
}

json::array pack_names(const std::vector<Digest>& packs) {
  json::array all;
  for (const Digest& pack : packs) all.emplace_back(image::pack_name(pack));
  return all;
}

void print_problems(const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) print_line(fmt::format("{}: {}", problem.object, problem.what));
}

Status remove(const Arguments& arguments, const Program&) {
  const Digest root = TRY(Digest::parse(arguments.root));
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadWrite));
  if (!store->bucket().size(image::image_name(root))) {
    return fail(Code::kNotFound, "The store has no such image. `atelier store list` shows those it has.");
  }
  return image::remove_image(*store, root);
}

Status undelete(const Arguments& arguments, const Program& program) {
  const Digest root = TRY(Digest::parse(arguments.root));
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadWrite));
  const auto record = TRY(image::undelete_image(*store, root));
  if (program.output == OutputFormat::kJson) {
    print_json(json::object{{"root", record.root.hex()}, {"diskBytes", record.disk_bytes}, {"label", record.label}});
  }
  return {};
}

void print_sweep(const Arguments& arguments, const image::SweepReport& report) {
  const auto print_packs = [](const char* what, const std::vector<Digest>& packs) {
    for (const Digest& pack : packs) print_line(fmt::format("{} {}", what, image::pack_name(pack)));
  };
  print_packs("dead", report.dead);
  print_packs("rewrite", report.rewritten);
  print_packs("purge", report.purged);
  for (const Digest& root : report.forgotten) print_line("forget removed/" + root.hex());
  print_problems(report.problems);
  print_line(fmt::format("{} images, {} removed ones; {} of {} chunks in use in {} packs ({})", report.images,
                         report.removed_images, report.chunks_in_use, report.chunks, report.packs,
                         to_human_bytes(report.pack_bytes)));
  print_line(fmt::format("{}: {} dead packs and {} rewritten ones ({}) into the trash, {} packs ({}) purged",
                         arguments.dry_run ? "would be" : "done", report.dead.size(), report.rewritten.size(),
                         to_human_bytes(report.bytes_freed), report.purged.size(),
                         to_human_bytes(report.bytes_purged)));
}

Status gc(const Arguments& arguments, const Program& program) {
  using image::SweepOptions;
  const SweepOptions options{
      .mode = arguments.dry_run ? SweepOptions::Mode::kDryRun : SweepOptions::Mode::kReal,
      .brake = arguments.force ? SweepOptions::Brake::kOff : SweepOptions::Brake::kOn,
      .purge_after = std::chrono::hours(arguments.purge_after_hours),
      .removed_kept_for = std::chrono::hours(24 * arguments.removed_kept_days),
  };
  const auto store =
      TRY(image::open_directory_store(arguments.store, arguments.dry_run ? Access::kReadOnly : Access::kReadWrite));
  TaskContext task = task_with_progress();
  const auto report = TRY(image::sweep_store(*store, options, task));
  clear_progress();
  if (program.output == OutputFormat::kJson) {
    json::array forgotten;
    for (const Digest& root : report.forgotten) forgotten.emplace_back(root.hex());
    print_json(json::object{{"dryRun", arguments.dry_run},
                            {"images", report.images},
                            {"removedImages", report.removed_images},
                            {"packs", report.packs},
                            {"packBytes", report.pack_bytes},
                            {"chunks", report.chunks},
                            {"chunksInUse", report.chunks_in_use},
                            {"dead", pack_names(report.dead)},
                            {"rewritten", pack_names(report.rewritten)},
                            {"purged", pack_names(report.purged)},
                            {"forgotten", std::move(forgotten)},
                            {"bytesFreed", report.bytes_freed},
                            {"bytesMoved", report.bytes_moved},
                            {"bytesPurged", report.bytes_purged},
                            {"problems", to_json(report.problems)}});
  } else {
    print_sweep(arguments, report);
  }
  if (report.clean()) return {};
  return fail(Code::kDataLoss, fmt::format("Completed with {} errors.", report.problems.size()));
}

// "2/7" as the subset 1 of 7.
Status parse_subset(const std::string& text, image::VerifyOptions& options) {
  if (text.empty()) return {};
  const auto slash = text.find('/');
  const auto number = parse_uint64(text.substr(0, slash));
  const auto count = parse_uint64(slash == std::string::npos ? "" : text.substr(slash + 1));
  if (!number || !count || *number == 0 || *number > *count) {
    return fail(Code::kInvalidArgument, "--subset takes K/T with 1 <= K <= T, such as 2/7.");
  }
  options.subset = *number - 1;
  options.subsets = *count;
  return {};
}

void print_verify(const image::VerifyReport& report, const Program& program) {
  if (program.output == OutputFormat::kJson) {
    print_json(json::object{{"clean", report.clean()},
                            {"packs", report.packs},
                            {"packBytes", report.pack_bytes},
                            {"chunks", report.chunks},
                            {"plainBytes", report.plain_bytes},
                            {"images", report.images},
                            {"problemCount", report.problem_count},
                            {"problems", to_json(report.problems)},
                            {"chunksHealed", report.chunks_healed},
                            {"healed", to_json(report.healed)}});
    return;
  }
  for (const Problem& problem : report.healed) {
    print_line(fmt::format("{}: healed: {}", problem.object, problem.what));
  }
  print_problems(report.problems);
  print_line(fmt::format("{} images, {} chunks in {} packs ({}) checked, {} problems, {} healed", report.images,
                         report.chunks, report.packs, to_human_bytes(report.pack_bytes), report.problem_count,
                         report.healed.size()));
}

Status verify(const Arguments& arguments, const Program& program) {
  image::VerifyOptions options;
  TRY(parse_subset(arguments.subset, options));
  const bool heals = !arguments.heal_from.empty();
  const auto store = TRY(image::open_directory_store(arguments.store, heals ? Access::kReadWrite : Access::kReadOnly));
  std::vector<std::unique_ptr<image::Store>> sources;
  for (const std::string& folder : arguments.heal_from) {
    sources.push_back(TRY_DURING(image::open_directory_store(folder, Access::kReadOnly), "--heal-from"));
    options.heal_from.push_back(sources.back().get());
  }
  TaskContext task = task_with_progress();
  const auto report = TRY(image::verify_store(*store, options, task));
  clear_progress();
  print_verify(report, program);
  if (report.clean()) return {};
  return fail(Code::kDataLoss, fmt::format("The store has {} problems.", report.problem_count));
}

// What a writer that died left, which only who is alone with the store can tell from what one is writing now.
void add_leftovers(const std::filesystem::path& folder, std::vector<Problem>& problems) {
  const auto alone = image::FileLock::acquire(folder / "lock", image::FileLock::Kind::kExclusive, {});
  if (!alone) return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder / ".new", error)) {
    problems.push_back({".new/" + entry.path().filename().string(),
                        "A writer that died left it; the next one takes it "
                        "away."});
  }
}

Status fsck(const Arguments& arguments, const Program& program) {
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadOnly));
  TaskContext task = task_with_progress();
  auto report = TRY(image::fsck_store(*store, task));
  clear_progress();
  add_leftovers(arguments.store, report.problems);
  if (program.output == OutputFormat::kJson) {
    print_json(json::object{{"clean", report.clean()},
                            {"images", report.images},
                            {"removedImages", report.removed_images},
                            {"packs", report.packs},
                            {"trashPacks", report.trash_packs},
                            {"chunks", report.chunks},
                            {"problems", to_json(report.problems)}});
  } else {
    print_problems(report.problems);
    print_line(fmt::format("{} images, {} removed ones, {} chunks in {} packs, {} packs in the trash, {} problems",
                           report.images, report.removed_images, report.chunks, report.packs, report.trash_packs,
                           report.problems.size()));
  }
  if (report.clean()) return {};
  return fail(Code::kDataLoss, fmt::format("The store has {} problems.", report.problems.size()));
}

Status rebuild_index(const Arguments& arguments, const Program& program) {
  const std::uint64_t packs = TRY(image::rebuild_directory_index(arguments.store));
  if (program.output == OutputFormat::kJson) {
    print_json(json::object{{"packs", packs}});
  } else {
    print_line(fmt::format("The index was made again from {} packs", packs));
  }
  return {};
}

using Command = Status (*)(const Arguments&, const Program&);

}  // namespace

void add_store_care_commands(CLI::App& group, Program& program) {
  // The options are bound to it, and read after parsing: it lives as long as the callbacks that hold it.
  const auto arguments = std::make_shared<Arguments>();
  const auto add = [&](CLI::App& parent, const char* name, const char* what, Command command) {
    CLI::App* const sub = parent.add_subcommand(name, what);
    sub->add_option("DIR", arguments->store, "The store's folder")->required();
    sub->callback(
        [arguments, command, &program] { program.run = [=, &program] { return command(*arguments, program); }; });
    return sub;
  };
  CLI::App* const remove_command = add(group, "remove", "Remove an image; it can be brought back for a while", remove);
  remove_command->add_option("ROOT", arguments->root, "The image's root")->required();
  CLI::App* const undelete_command = add(group, "undelete", "Bring a removed image back", undelete);
  undelete_command->add_option("ROOT", arguments->root, "The image's root")->required();
  CLI::App* const gc_command = add(group, "gc", "Throw away what no image needs, and purge what was thrown away", gc);
  gc_command->add_flag("--dry-run", arguments->dry_run, "Only say what would go");
  gc_command->add_flag("--force", arguments->force, "Also when more than half of the store would go");
  gc_command->add_option("--purge-after", arguments->purge_after_hours, "Hours that packs lie in the trash; 24");
  gc_command->add_option("--keep-removed", arguments->removed_kept_days,
                         "Days for which a removed image can be brought back; 7");
  CLI::App* const verify_command = add(group, "verify", "Read everything and report what is damaged", verify);
  verify_command->add_option("--subset", arguments->subset, "K/T: only the K-th of T equal shares of the packs");
  verify_command->add_option("--heal-from", arguments->heal_from,
                             "A store to take good copies of damaged and missing chunks from; may be given again");
  add(group, "fsck", "Check what must hold between the store's parts, without reading chunks", fsck);
  CLI::App* const index_group = group.add_subcommand("index", "The index that finds chunks");
  index_group->require_subcommand(1);
  add(*index_group, "rebuild", "Make the index again from the packs alone", rebuild_index);
}

}  // namespace atelier::cli
