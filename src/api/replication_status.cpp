#include "api/replication_status.h"

#include <cmath>
#include <string_view>

#include "catalog/image_version.h"
#include "ops/submit.h"

namespace atelier::api {
namespace {

using catalog::Replica;
using catalog::ReplicaState;

Result<int> progress_of(db::Transaction& transaction, const Replica& replica) {
  if (replica.state == ReplicaState::kCompleted) return 100;
  if (replica.operation_id.empty()) return 0;
  const auto operation = TRY(ops::find(transaction, replica.operation_id));
  if (!operation) return replica.progress;
  // 100 is for the end: the row says Completed then.
  return std::min(99, static_cast<int>(std::floor(ops::percent_complete(*operation))));
}

}  // namespace

Result<json::object> replication_status_of(db::Transaction& transaction, const db::Resource& version) {
  json::array summary;
  bool failed = false;
  bool unfinished = false;
  const catalog::ImageVersion model = catalog::image_version_of(version);
  for (const auto& [region, replica] : model.replicas) {
    failed = failed || replica.state == ReplicaState::kFailed;
    unfinished = unfinished || replica.state == ReplicaState::kReplicating || replica.state == ReplicaState::kUnknown;
    const int progress = TRY(progress_of(transaction, replica));
    // A region whose turn has not come is on its way as well, for whoever asks.
    const ReplicaState shown = replica.state == ReplicaState::kUnknown ? ReplicaState::kReplicating : replica.state;
    summary.push_back(json::object{
        {"region", region}, {"state", to_string(shown)}, {"details", replica.details}, {"progress", progress}});
  }
  std::string_view aggregated = "Completed";
  if (unfinished) aggregated = "InProgress";
  if (failed) aggregated = "Failed";
  if (model.replicas.empty()) aggregated = "Unknown";
  return json::object{{"aggregatedState", aggregated}, {"summary", std::move(summary)}};
}

}  // namespace atelier::api
