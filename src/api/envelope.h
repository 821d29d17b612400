// A resource as the API answers it.
#pragma once

#include <string>
#include <string_view>

#include "api/context.h"
#include "base/error.h"
#include "base/json.h"
#include "db/resources.h"

namespace atelier::api {

// id, name, type, location and tags (tracked resources only), properties with provisioningState, systemData.
// `internal` never appears.
json::object to_arm(const db::Resource& resource);

// The body as one JSON object: kInvalidArgument (reason "InvalidRequestContent") when it is not.
Result<json::object> body_object(const Call& call);
// body.tags: an object of strings, at most 50. An absent or null one gives an empty object.
Result<json::object> tags_of(const json::object& body);
// body.properties: an object; absent or null gives an empty one; kInvalidArgument for another type.
Result<json::object> properties_of(const json::object& body);
// body.location as a region's short name; kInvalidArgument when it is missing or no region of this service.
Result<std::string> location_of(const Call& call, const json::object& body);

// Fails unless the route's {s} is this service's subscription (404 SubscriptionNotFound).
Status check_subscription(const Call& call);
// The resource group {rg} of the route; 404 ResourceGroupNotFound.
Result<db::Resource> require_group(const Call& call, db::Transaction& transaction);
// The resource; 404 ResourceNotFound when there is none.
Result<db::Resource> require_resource(db::Transaction& transaction, std::string_view id);
// The parent of something asked for or about to be made; 404 ParentResourceNotFound when there is none.
Result<db::Resource> require_parent(db::Transaction& transaction, std::string_view id);

// A new row for the caller to fill in: ids, names, location, created_by and times are set; state Succeeded.
db::Resource new_resource(const Call& call, const std::string& id, std::string location);

}  // namespace atelier::api
