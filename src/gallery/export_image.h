// POST labPlans/{p}/saveImage: a template VM's disk becomes a specialized image version in the attached gallery, and
// goes by itself to every other region of its geography. Of a VM that runs, one moment is exported; the version says
// so.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "catalog/parts.h"
#include "db/resources.h"
#include "gallery/creation.h"
#include "vm/hypervisor.h"
#include "vm/overlay.h"

namespace atelier::gallery::export_image {

inline constexpr std::string_view kKind = "ExportImage";

struct Input {
  db::Resource gallery;    // where to
  std::string image_name;  // the definition's name; made when there is none
  std::string location;    // where the VM is: the version's home region
  std::string os_type = "Linux";
  std::string principal;

  std::string vm_id;     // ARM id; operations on one VM exclude each other by it
  std::string vm_uuid;   // the hypervisor's name of it
  vm::OverlayDisk disk;  // its backing's export name is the root of the image that the VM was made from
};

// Finds or makes the definition (publisher AzureLabServices, offer General, sku = name, Specialized) and takes its next
// version number. kFailedPrecondition when a definition of that name is of another kind;
// kInvalidArgument for an illegal name; kConflict while another operation works on the VM, or when another definition
// has the same publisher, offer and sku. `accepted.resource` is the version.
Result<Accepted> begin(db::Transaction& transaction, const catalog::Parts& parts, const Input& input);
// Whether the VM runs is asked anew: its guest may have powered it off since.
Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, vm::Hypervisor& hypervisor,
                         TaskContext& task);
// A canceled export leaves nothing behind; after a failed one the version stays and says why.
Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error);

}  // namespace atelier::gallery::export_image
