// Table resources: one row per ARM resource of every type. Ids compare without regard to case.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace atelier::db {

class Transaction;

struct Resource {
  std::string id;    // as first written: "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Compute/galleries/g"
  std::string type;  // "Microsoft.Compute/galleries/images/versions"
  std::string name;  // last segment
  std::string parent_id;  // the parent resource's id; the group's for top-level ones; the subscription's for a group
  std::string subscription_id;
  std::string resource_group;
  std::string location;  // short region name, "" for proxy resources
  json::object tags;
  json::object properties;         // as the API answers, less provisioningState
  json::object internal;           // ours, never answered: root digest, uuids, replica states, hashes of secrets
  std::string provisioning_state;  // Creating, Updating, Succeeded, Failed, Deleting
  std::string created_by;
  std::string changed_by;
  TimePoint created_at;
  TimePoint changed_at;
  std::int64_t revision = 0;  // grows by one with each update
};

// The resource with this id, in any case.
Result<std::optional<Resource>> find_resource(Transaction& transaction, std::string_view id);

// Sets revision to 1 and, where they are zero, created_at and changed_at to now. kAlreadyExists when the id is taken;
// kInvalidArgument when the id does not begin with '/', ends with one or holds a control character.
Status insert_resource(Transaction& transaction, Resource& resource);

// Writes all but id, created_by and created_at; bumps revision and sets changed_at to now. kConflict when the stored
// revision is another than resource.revision, kNotFound when there is no such row.
Status update_resource(Transaction& transaction, Resource& resource);

// Ok when there is none. Children are the caller's business.
Status erase_resource(Transaction& transaction, std::string_view id);

struct ResourceQuery {
  std::string type = {};       // in any case; "" means all
  std::string scope_id = {};   // everything below this id, by whole segments, not itself; "" means all
  std::string parent_id = {};  // direct children only; "" means all
  std::string after_id = {};   // paging: begins behind this id (it need not exist)
  std::size_t limit = 1000;
};
// Ordered by the id in lower case (bytes).
Result<std::vector<Resource>> list_resources(Transaction& transaction, const ResourceQuery& query);

Result<std::size_t> count_children(Transaction& transaction, std::string_view parent_id);

}  // namespace atelier::db
