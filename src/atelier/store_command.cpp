#include "atelier/store_command.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "atelier/disk_file.h"
#include "atelier/store_care_command.h"
#include "base/task_context.h"
#include "base/text.h"
#include "image/capture.h"
#include "image/copy.h"
#include "image/image_record.h"
#include "image/inspect.h"
#include "image/removed_image.h"
#include "image/store.h"
#include "image/verify.h"
#include "vm/convert_file.h"

namespace atelier::cli {
namespace {

using image::Access;
using image::ImageRecord;

// What the command line gives; each command uses some.
struct Arguments {
  std::string store;
  std::string file;
  std::string to;
  std::string root;
  std::string label;
  std::string uri;
  std::string parent;
  std::string changes;
  std::string format = "raw";
  std::string subformat;
  bool removed = false;
};

json::object to_json(const ImageRecord& record) {
  return {{"root", record.root.hex()},
          {"diskBytes", record.disk_bytes},
          {"dataBytes", record.data_bytes},
          {"newBytes", record.new_bytes},
          {"storedBytes", record.stored_bytes},
          {"createdAt", to_rfc3339(record.created_at)},
          {"label", record.label}};
}

Status init(const Arguments& arguments, const Program& program) {
  const auto store = TRY(image::create_directory_store(arguments.store));
  if (program.output == OutputFormat::kJson) print_json(json::object{{"id", store->id()}});
  return {};
}

Status put(const Arguments& arguments, const Program& program) {
  const auto format = TRY(image::inspect_disk_file(arguments.file));
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadWrite));
  TaskContext task = task_with_progress();
  const auto result = TRY(store_disk_file(*store, arguments.file, format, arguments.label, task));
  clear_progress();
  if (program.output == OutputFormat::kJson) {
    json::object answer = to_json(result.record);
    answer["bytesRead"] = result.bytes_read;
    answer["format"] = image::to_string(format.kind);
    print_json(answer);
  } else {
    print_line(result.record.root.hex());
  }
  return {};
}

Status capture(const Arguments& arguments, const Program& program) {
  image::CaptureOptions options{.nbd_uri = arguments.uri, .changes_uri = arguments.changes, .label = arguments.label};
  if (!arguments.parent.empty()) options.parent = TRY(image::Digest::parse(arguments.parent));
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadWrite));
  TaskContext task = task_with_progress();
  const auto result = TRY(image::capture_disk(*store, options, task));
  clear_progress();
  if (program.output == OutputFormat::kJson) {
    json::object answer = to_json(result.record);
    answer["bytesRead"] = result.bytes_read;
    print_json(answer);
  } else {
    print_line(result.record.root.hex());
  }
  return {};
}

Status get(const Arguments& arguments, const Program& program) {
  const auto root = TRY(image::Digest::parse(arguments.root));
  const auto target = TRY(vm::parse_target_format(arguments.format, arguments.subformat));
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadOnly));
  const auto record = TRY(image::find_image(*store, root));
  if (!record) return fail(Code::kNotFound, "The store has no such image. `atelier store list` shows those it has.");
  TaskContext task = task_with_progress();
  TRY(write_disk_file(*store, root, arguments.file, target, task));
  clear_progress();
  if (program.output == OutputFormat::kJson) print_json(to_json(*record));
  return {};
}

Status copy(const Arguments& arguments, const Program& program) {
  const auto root = TRY(image::Digest::parse(arguments.root));
  const auto from = TRY(image::open_directory_store(arguments.store, Access::kReadOnly));
  const auto to = TRY(image::open_directory_store(arguments.to, Access::kReadWrite));
  TaskContext task = task_with_progress();
  const auto result = TRY(image::copy_image(*from, *to, root, task));
  clear_progress();
  if (program.output == OutputFormat::kJson) {
    print_json(json::object{{"bytesSent", result.bytes_sent}, {"chunksSent", result.chunks_sent}});
  } else {
    print_line(fmt::format("{} sent in {} chunks", to_human_bytes(result.bytes_sent), result.chunks_sent));
  }
  return {};
}

Status list_removed(const Arguments& arguments, const Program& program) {
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadOnly));
  const auto images = TRY(image::list_removed(*store));
  json::array answer;
  Table table{{"ROOT", "REMOVED", "DISK", "LABEL"}, {}};
  for (const image::RemovedImage& removed : images) {
    const std::string at = removed.removed_at ? to_rfc3339(removed.removed_at->at) : "";
    const std::uint64_t disk_bytes = removed.record ? removed.record->disk_bytes : 0;
    const std::string label = removed.record ? removed.record->label : "";
    answer.push_back(
        json::object{{"root", removed.root.hex()}, {"removedAt", at}, {"diskBytes", disk_bytes}, {"label", label}});
    table.rows.push_back({removed.root.hex(), at, to_human_bytes(disk_bytes), label});
  }
  if (program.output == OutputFormat::kJson) {
    print_json(answer);
  } else {
    print_table(table);
  }
  return {};
}

Status list(const Arguments& arguments, const Program& program) {
  if (arguments.removed) return list_removed(arguments, program);
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadOnly));
  const auto images = TRY(image::list_images(*store));
  if (program.output == OutputFormat::kJson) {
    json::array answer;
    for (const ImageRecord& record : images) answer.push_back(to_json(record));
    print_json(answer);
    return {};
  }
  Table table{{"ROOT", "DISK", "DATA", "NEW", "STORED", "CREATED", "LABEL"}, {}};
  for (const ImageRecord& record : images) {
    table.rows.push_back({record.root.hex(), to_human_bytes(record.disk_bytes), to_human_bytes(record.data_bytes),
                          to_human_bytes(record.new_bytes), to_human_bytes(record.stored_bytes),
                          to_rfc3339(record.created_at), record.label});
  }
  print_table(table);
  return {};
}

Status stats(const Arguments& arguments, const Program& program) {
  const auto store = TRY(image::open_directory_store(arguments.store, Access::kReadOnly));
  const auto numbers = TRY(image::store_stats(*store));
  if (program.output == OutputFormat::kJson) {
    print_json(json::object{{"id", store->id()},
                            {"images", numbers.images},
                            {"packs", numbers.packs},
                            {"packBytes", numbers.pack_bytes},
                            {"chunks", numbers.chunks},
                            {"plainBytes", numbers.plain_bytes},
                            {"storedBytes", numbers.stored_bytes},
                            {"diskBytes", numbers.disk_bytes},
                            {"dataBytes", numbers.data_bytes}});
    return {};
  }
  print_table(
      {{"IMAGES", "DISKS", "DATA", "CHUNKS", "PLAIN", "STORED", "PACKS", "PACKED"},
       {{fmt::to_string(numbers.images), to_human_bytes(numbers.disk_bytes), to_human_bytes(numbers.data_bytes),
         fmt::to_string(numbers.chunks), to_human_bytes(numbers.plain_bytes), to_human_bytes(numbers.stored_bytes),
         fmt::to_string(numbers.packs), to_human_bytes(numbers.pack_bytes)}}});
  return {};
}

using Command = Status (*)(const Arguments&, const Program&);

}  // namespace

TaskContext task_with_progress() {
  return TaskContext({}, [](const Progress& progress) {
    const double percent = progress.bytes_total == 0 ? 0
                                                     : 100.0 * static_cast<double>(progress.bytes_done) /
                                                           static_cast<double>(progress.bytes_total);
    show_progress(fmt::format("{} {:.0f}% ({} of {}, {} new)", progress.phase, percent,
                              to_human_bytes(progress.bytes_done), to_human_bytes(progress.bytes_total),
                              to_human_bytes(progress.bytes_new)));
  });
}

void add_store_commands(CLI::App& app, Program& program) {
  CLI::App* const group = app.add_subcommand("store", "Work on a store's folder, without a server");
  group->require_subcommand(1);
  // The options are bound to it, and read after parsing: it lives as long as the callbacks that hold it.
  const auto arguments = std::make_shared<Arguments>();
  const auto add = [&](const char* name, const char* what, Command command) {
    CLI::App* const sub = group->add_subcommand(name, what);
    sub->add_option("DIR", arguments->store, "The store's folder")->required();
    sub->callback(
        [arguments, command, &program] { program.run = [=, &program] { return command(*arguments, program); }; });
    return sub;
  };
  add("init", "Make an empty store", init);
  CLI::App* const put_command =
      add("put", "Store a disk file (raw, qcow2, VHD, VHDX, VMDK or VDI) as an image and print its root", put);
  put_command->add_option("FILE", arguments->file, "The disk file")->required();
  put_command->add_option("--label", arguments->label, "Kept with the image");
  CLI::App* const capture_command =
      add("capture", "Store the disk that an NBD server offers as an image and print its root", capture);
  capture_command->add_option("URI", arguments->uri, "The disk: nbd+unix:///NAME?socket=PATH")->required();
  capture_command->add_option("--parent", arguments->parent,
                              "The root of the image below the overlay that the server offers: only what changed since "
                              "is read, when the server tells it (qemu:allocation-depth)");
  capture_command->add_option("--changes", arguments->changes,
                              "A server of the overlay without what lies below, to ask what changed: quicker for disks "
                              "with many holes");
  capture_command->add_option("--label", arguments->label, "Kept with the image");
  CLI::App* const get_command = add("get", "Write an image as a disk file", get);
  get_command->add_option("ROOT", arguments->root, "The image's root")->required();
  get_command->add_option("OUT", arguments->file, "The file to write; one that is there is replaced")->required();
  get_command->add_option("--format", arguments->format, "raw (sparse; the default), qcow2, vhd, vhdx or vmdk");
  get_command->add_option(
      "--subformat", arguments->subformat,
      "vhd, vhdx: dynamic (the default) or fixed; vmdk: streamOptimized (the default) or monolithicSparse");
  CLI::App* const copy_command = add("copy", "Send an image to another store: only what is missing there", copy);
  copy_command->add_option("TO", arguments->to, "The other store's folder")->required();
  copy_command->add_option("ROOT", arguments->root, "The image's root")->required();
  CLI::App* const list_command = add("list", "List the images", list);
  list_command->add_flag("--removed", arguments->removed, "List the removed images that can be brought back");
  add("stats", "Count images, chunks and bytes", stats);
  add_store_care_commands(*group, program);
}

}  // namespace atelier::cli
