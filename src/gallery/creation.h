// What the two ways to a new image version (import of an uploaded disk, export of a template VM) have in common: the
// row while it is made, the commit when the home region has the bytes, and the end of a failed one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/task_context.h"
#include "catalog/parts.h"
#include "db/resources.h"
#include "image/image_record.h"
#include "ops/operation.h"
#include "ops/submit.h"
#include "vm/disk_backup.h"

namespace atelier::gallery {

// What a journey's begin() gives the request handler.
struct Accepted {
  db::Resource resource;     // as stored
  std::string operation_id;  // call Runner::wake() after the commit
};

// The field of an operation's input that names the version it makes or works on.
inline constexpr std::string_view kResourceIdField = "resourceId";

// Submits `operation` (its input gets kResourceIdField) and writes `version`, whose ids, names, location and properties
// the caller has set: state Creating, one replica in each target region, none of them complete. A Failed version of
// the same id is made anew; kConflict for any other one. `version.properties.publishingProfile.targetRegions` holds
// short region names, the home region among them.
Result<Accepted> begin_creation(db::Transaction& transaction, db::Resource version, ops::NewOperation operation);

// What else is known of a version's bytes.
struct Captured {
  std::uint64_t bytes_read = 0;                     // of its source
  std::optional<vm::Consistency> consistency = {};  // of a VM's disk; kept in properties.atelier.consistencyMode
};

// The home region's store has committed `record`: in one transaction the version becomes Succeeded there and one
// ReplicateVersion operation per other target region is queued. Gives the operation's result. kUnavailable (try again)
// when a deletion took the equal image away meanwhile; kFailedPrecondition when the version itself is gone.
Result<json::object> finish_creation(const ops::Operation& operation, const catalog::Parts& parts,
                                     const image::ImageRecord& record, const Captured& captured);

// The result of an operation whose version is finished already: it ran before a crash. Empty when there is work to do;
// kFailedPrecondition when the version is gone or is being deleted. Reports the whole disk as done.
Result<std::optional<json::object>> result_if_finished(const ops::Operation& operation, const catalog::Parts& parts,
                                                       const TaskContext& task);

// What to tell when writing an image into a region's store failed while `doing`: a full disk gets its own words, and
// the details go to the log.
Error store_failure(const Error& error, const catalog::Region& region, std::string_view doing);

// Marks the version Failed and keeps the error for those who look at it.
Status fail_creation(db::Transaction& transaction, const ops::Operation& operation, const Error& error);

}  // namespace atelier::gallery
