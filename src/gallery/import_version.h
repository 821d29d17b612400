// PUT versions/{v} with an uploaded disk as its source: the file's disk becomes an image in the version's home region,
// then in its other target regions.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/task_context.h"
#include "catalog/parts.h"
#include "db/resources.h"
#include "gallery/creation.h"

namespace atelier::gallery::import_version {

inline constexpr std::string_view kKind = "CreateImageVersion";

struct Input {
  db::Resource version;  // the row to make, see begin_creation()
  std::string disk_id;   // the uploaded disk; its row's internal.file names the file in parts.uploads
  std::string principal;
};

// kFailedPrecondition, reason "OperationNotAllowed", while the disk's upload is not over.
Result<Accepted> begin(db::Transaction& transaction, Input input);
// The file is opened in a sandbox only, after its header was checked. kInvalidArgument when it is no disk that is
// taken; kResourceExhausted when the store's disk is full.
Result<json::object> run(const ops::Operation& operation, const catalog::Parts& parts, TaskContext& task);
Status on_failure(db::Transaction& transaction, const ops::Operation& operation, const Error& error);

}  // namespace atelier::gallery::import_version
