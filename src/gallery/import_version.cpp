#include "gallery/import_version.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "catalog/regions.h"
#include "db/database.h"
#include "image/capture.h"
#include "image/inspect.h"
#include "vm/file_export.h"

namespace atelier::gallery::import_version {
namespace {

constexpr std::string_view kDiskIdField = "diskId";
constexpr std::string_view kField = "properties.storageProfile.osDiskImage.source.id";

struct Source {
  std::filesystem::path file;
  const catalog::Region* home = nullptr;
};

Result<db::Resource> uploaded_disk(db::Transaction& transaction, std::string_view disk_id) {
  std::optional<db::Resource> disk = TRY(db::find_resource(transaction, disk_id));
  if (!disk) {
    return fail(Error(Code::kNotFound, fmt::format("The disk {} does not exist. Upload it again.", disk_id))
                    .with_reason("ResourceNotFound")
                    .with_target(std::string(kField)));
  }
  const std::string state = string_at(disk->properties, "diskState");
  if (state != "Unattached" || disk->internal.if_contains("file") == nullptr) {
    return fail(
        Error(Code::kFailedPrecondition,
              fmt::format("The disk {} is {}. Finish its upload and end the access to it first.", disk_id, state))
            .with_reason("OperationNotAllowed")
            .with_target(std::string(kField)));
  }
  return *std::move(disk);
}

Result<Source> find_source(const ops::Operation& operation, const catalog::Parts& parts) {
  const db::Resource disk = TRY(parts.database.read([&](db::Transaction& transaction) {
    return uploaded_disk(transaction, string_at(operation.input, kDiskIdField));
  }));
  return Source {
    .file = parts.uploads / string_at(disk.internal, "file"),
    .home = TRY(parts.regions.require(operation.location, "location"))
  };
}

// The uploaded file's disk, as NBD; `size_bytes` is what its header says.
struct OpenDisk {
  vm::DiskExport disk;
  std::uint64_t size_bytes;
};

Result<OpenDisk> open_file(const std::filesystem::path& file) {
  const image::DiskFormat format = TRY(image::inspect_disk_file(file));
  const vm::FileFormat file_format = TRY(vm::parse_file_format(image::to_string(format.kind)));
  return OpenDisk {
    TRY(vm::export_file(file, file_format))
    , format.virtual_bytes
  };
}

}  // namespace

Result<Accepted> begin(db::Transaction& transaction, Input input) {
  const db::Resource disk = TRY(uploaded_disk(transaction, input.disk_id));
  ops::NewOperation operation{.kind = std::string(kKind),
                              .subscription_id = input.version.subscription_id,
                              .location = input.version.location,
                              .target_id = input.version.id,
                              .principal = std::move(input.principal),
                              .input = {{kDiskIdField, disk.id}},
                              .exclusive_key = {}};
  return begin_creation(transaction, std::move(input.version), std::move(operation));
}

Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, TaskContext& task) {
  if (auto finished = TRY(result_if_finished(operation, parts, task))) return *std::move(finished);
  const Source source = TRY(find_source(operation, parts));
  const OpenDisk opened = TRY_DURING(open_file(source.file), "open the uploaded disk");
  image::CaptureOptions options;
  options.nbd_uri = opened.disk.uri();
  options.disk_bytes = opened.size_bytes;
  options.label = string_at(operation.input, kResourceIdField);
  const auto captured = image::capture_disk(*source.home->store, options, task);
  if (!captured) return fail(store_failure(captured.error(), *source.home, "read the uploaded disk"));
  return finish_creation(operation, parts, captured->record, {.bytes_read = captured->bytes_read});
}

Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error) {
  return fail_creation(transaction, operation, error);
}

}  // namespace atelier::gallery::import_version
