#include "api/disk_rows.h"

#include <optional>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace atelier::api {
namespace {

std::string pointer_id(std::string_view guid) { return "/uploads/" + std::string(guid); }

}  // namespace

Status insert_disk(db::Transaction& transaction, db::Resource& disk) {
  const std::string guid = new_uuid();
  disk.internal["guid"] = guid;
  disk.internal["file"] = guid + ".disk";
  TRY(db::insert_resource(transaction, disk));
  db::Resource pointer;
  pointer.id = pointer_id(guid);
  pointer.type = "Atelier/uploads";
  pointer.name = guid;
  pointer.provisioning_state = "Succeeded";
  pointer.internal["disk"] = disk.id;
  return db::insert_resource(transaction, pointer);
}

Status erase_disk(db::Transaction& transaction, const db::Resource& disk) {
  TRY(db::erase_resource(transaction, pointer_id(upload_guid_of(disk))));
  return db::erase_resource(transaction, disk.id);
}

Result<db::Resource> find_disk_by_guid(db::Transaction& transaction, std::string_view guid) {
  const auto pointer = TRY(db::find_resource(transaction, pointer_id(guid)));
  if (pointer) {
    auto disk = TRY(db::find_resource(transaction, string_at(pointer->internal, "disk")));
    if (disk) return *std::move(disk);
  }
  return fail(Error(Code::kNotFound, "The disk of this URL was deleted.").with_reason("ResourceNotFound"));
}

std::string upload_guid_of(const db::Resource& disk) { return string_at(disk.internal, "guid"); }

std::uint64_t upload_bytes_of(const db::Resource& disk) {
  return uint_at(disk.properties, "creationData.uploadSizeBytes");
}

}  // namespace atelier::api
