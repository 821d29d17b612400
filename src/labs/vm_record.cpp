#include "labs/vm_record.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/regions.h"
#include "labs/vm_sizes.h"
#include "vm/image_server.h"

namespace atelier::labs {

VmRecord vm_record_of(const db::Resource& machine) {
  const json::object& kept = machine.internal;
  return {.uuid = string_at(kept, "uuid"),
          .region = string_at(kept, "region"),
          .root = string_at(kept, "root"),
          .disk_bytes = uint_at(kept, "diskBytes"),
          .size = string_at(kept, "size"),
          .user_name = string_at(kept, "userName"),
          .seed = string_at(kept, "seed") == "Attached" ? vm::SeedDisk::kAttached : vm::SeedDisk::kNone};
}

void keep_vm_record(db::Resource& machine, const VmRecord& record) {
  machine.internal["uuid"] = record.uuid;
  machine.internal["region"] = record.region;
  machine.internal["root"] = record.root;
  machine.internal["diskBytes"] = record.disk_bytes;
  machine.internal["size"] = record.size;
  machine.internal["userName"] = record.user_name;
  machine.internal["seed"] = record.seed == vm::SeedDisk::kAttached ? "Attached" : "None";
}

std::filesystem::path folder_of(const VmRecord& record, const Parts& parts) { return parts.vms / record.uuid; }

Result<vm::OverlayDisk> disk_of(const VmRecord& record, const Parts& parts) {
  const catalog::Region* region = parts.common.regions.find(record.region);
  if (region == nullptr || region->server == nullptr) {
    return fail(Code::kFailedPrecondition,
                fmt::format("The region '{}' is not served here; its virtual machines cannot be used.", record.region));
  }
  return vm::OverlayDisk{.path = folder_of(record, parts) / "disk.qcow2",
                         .backing = region->server->disk(record.root, record.disk_bytes)};
}

Result<vm::VmSpec> spec_of(const VmRecord& record, std::string_view name, const Parts& parts) {
  const VmSize& size = *TRY(require_vm_size(record.size, "size"));
  vm::OverlayDisk disk = TRY(disk_of(record, parts));
  return vm::VmSpec{.uuid = record.uuid,
                    .name = std::string(name),
                    .vcpus = size.vcpus,
                    .memory_mib = size.memory_mib,
                    .folder = folder_of(record, parts),
                    .disk = std::move(disk),
                    .seed = record.seed,
                    .network = parts.network};
}

std::string vm_id_of(std::string_view lab_id, std::string_view name) {
  return fmt::format("{}/virtualMachines/{}", lab_id, equals_ignoring_case(name, "template") ? "0" : name);
}

Result<db::Resource> require_vm(db::Transaction& transaction, std::string_view vm_id) {
  const catalog::ArmId id = TRY(catalog::ArmId::parse_as(vm_id, catalog::kVirtualMachineType));
  const std::string lab_id = id.parent_text();
  std::optional<db::Resource> machine = TRY(db::find_resource(transaction, vm_id_of(lab_id, id.name())));
  if (machine.has_value()) return std::move(*machine);
  const bool has_lab = TRY(db::find_resource(transaction, lab_id))
  .has_value();
  return fail(
      Error(Code::kNotFound,
            has_lab ? fmt::format("The lab '{}' has no virtual machine '{}'.", id.names()[0], id.name())
                    : fmt::format("There is no lab '{}' in resource group '{}'.", id.names()[0], id.resource_group()))
          .with_reason("ResourceNotFound"));
}

}  // namespace atelier::labs
