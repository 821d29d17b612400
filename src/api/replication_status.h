// GET versions/{v}?$expand=ReplicationStatus: how far a version is in each of its regions.
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "db/resources.h"

namespace atelier::api {

// {"aggregatedState","summary":[{"region","state","details","progress"}]}. A region that is being filled shows the
// progress of its operation.
Result<json::object> replication_status_of(db::Transaction& transaction, const db::Resource& version);

}  // namespace atelier::api
