#include "labs/machine.h"

#include <filesystem>
#include <system_error>

#include "base/check.h"
#include "base/log.h"
#include "catalog/regions.h"
#include "vm/image_server.h"
#include "vm/overlay.h"

namespace atelier::labs {
namespace {

Status ensure_image_server(const VmRecord& record, const Parts& parts) {
  const catalog::Region* region = parts.common.regions.find(record.region);
  if (region == nullptr || region->server == nullptr) return {};  // spec_of() says why that cannot work
  return region->server->ensure_running();
}

Status make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) {
    // QEMU's user passes through; only we list it.
    using std::filesystem::perms;
    std::filesystem::permissions(folder, perms::owner_all | perms::group_exec | perms::others_exec, error);
  }
  if (error) return fail(errno_error(error.value(), "make the virtual machine's folder"));
  return {};
}

}  // namespace

Status make_machine(const VmRecord& record, std::string_view name, const vm::Seed* seed, const Parts& parts,
                    TaskContext& task) {
  CHECK((seed != nullptr) == (record.seed == vm::SeedDisk::kAttached));
  TRY(task.check());
  const vm::VmSpec spec = TRY(spec_of(record, name, parts));
  TRY_DURING(ensure_image_server(record, parts), "start the image server");
  TRY(make_folder(spec.folder));
  TRY_DURING(vm::create_overlay(spec.disk), "make the disk");
  if (seed != nullptr) TRY_DURING(vm::write_seed(spec.folder / "seed.iso", *seed), "make the first-boot seed");
  TRY(task.check());
  TRY_DURING(parts.hypervisor.define(spec), "define the virtual machine");
  TRY_DURING(parts.hypervisor.start(record.uuid), "start the virtual machine");
  return {};
}

Status power_on(const VmRecord& record, std::string_view name, const Parts& parts) {
  TRY_DURING(ensure_image_server(record, parts), "start the image server");
  const Result<vm::VmStatus> known = parts.hypervisor.status(record.uuid);
  if (!known) {
    if (known.error().code() != Code::kNotFound) return fail(known.error());
    const vm::VmSpec spec = TRY(spec_of(record, name, parts));
    TRY_DURING(parts.hypervisor.define(spec), "define the virtual machine");
  }
  return parts.hypervisor.start(record.uuid);
}

Status destroy_machine(std::string_view uuid, const Parts& parts) {
  CHECK(!uuid.empty() && uuid.find('/') == std::string_view::npos);
  TRY_DURING(parts.hypervisor.remove(uuid), "remove the virtual machine");
  std::error_code error;
  std::filesystem::remove_all(parts.vms / uuid, error);
  if (error) return fail(errno_error(error.value(), "remove the virtual machine's folder"));
  return {};
}

Result<vm::VmStatus> status_of(const VmRecord& record, const Parts& parts) {
  Result<vm::VmStatus> status = parts.hypervisor.status(record.uuid);
  if (!status && status.error().code() == Code::kNotFound) return vm::VmStatus{};
  return status;
}

}  // namespace atelier::labs
