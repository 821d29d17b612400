// What the service knows about a virtual machine beyond its ARM properties: kept in the resource's `internal` object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "db/database.h"
#include "db/resources.h"
#include "labs/parts.h"
#include "vm/hypervisor.h"

namespace atelier::labs {

struct VmRecord {
  std::string uuid;    // names it in the hypervisor, and its folder
  std::string region;  // whose image server its disk's backing comes from
  std::string root;    // the image it is an overlay on, 64 hexadecimal digits
  std::uint64_t disk_bytes = 0;
  std::string size;       // of vm_sizes.h
  std::string user_name;  // to sign in with; "" when nobody said
  vm::SeedDisk seed = vm::SeedDisk::kNone;
};

VmRecord vm_record_of(const db::Resource& machine);
void keep_vm_record(db::Resource& machine, const VmRecord& record);

// The folder that holds everything of the VM on its host.
std::filesystem::path folder_of(const VmRecord& record, const Parts& parts);
// The VM's disk as vm::create_overlay and vm::export_overlay take it. kFailedPrecondition when its region is not (or no
// longer) one of this service's.
Result<vm::OverlayDisk> disk_of(const VmRecord& record, const Parts& parts);
// What the hypervisor is to run; `name` is for people.
Result<vm::VmSpec> spec_of(const VmRecord& record, std::string_view name, const Parts& parts);

// The id of a lab's virtual machine: `name` is "0" or its alias "template" for the template VM, in any case.
std::string vm_id_of(std::string_view lab_id, std::string_view name);
// The row of a virtual machine by its own id (alias and case included). kNotFound, reason "ResourceNotFound", saying
// whether lab or machine is missing.
Result<db::Resource> require_vm(db::Transaction& transaction, std::string_view vm_id);

}  // namespace atelier::labs
