// POST labPlans/{p}/saveImage: what must hold before a template VM may be exported, and the facts that the export
// needs. The export itself is the gallery's journey.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "db/database.h"
#include "db/resources.h"
#include "labs/parts.h"
#include "labs/vm_record.h"

namespace atelier::labs::save_image {

struct Request {
  std::string plan_id;
  std::string image_name;  // as asked for; the name of the image definition
  std::string vm_id;       // ".../virtualMachines/0" or its alias "template", any case
};

// Everything about the template VM that an export has to know.
struct Facts {
  db::Resource plan;
  db::Resource gallery;
  db::Resource lab;
  db::Resource machine;
  VmRecord record;
  vm::OverlayDisk disk;
  std::string os_type;  // "Linux" or "Windows"
};

// The machine asked for, for whoever wants to know its power state before the transaction of check(). Fails as check()
// does for what is wrong up to there: kInvalidArgument for a bad name or id (targets "name", "labVirtualMachineId"),
// kNotFound for plan, lab or machine.
Result<db::Resource> find_machine(db::Transaction& transaction, const Request& request);

// `power` is what the hypervisor said just now. kFailedPrecondition: GalleryNotAttached, LabNotReady,
// LabOfOtherLabPlan, VirtualMachineNotReady (it shuts down, or waits for its disk). That no other operation on the
// machine runs is ensured when the export is submitted, by catalog::vm_exclusive_key().
Result<Facts> check(db::Transaction& transaction, const Parts& parts, const Request& request, vm::PowerState power);

}  // namespace atelier::labs::save_image
