// What the handlers of Microsoft.LabServices resources have in common.
#pragma once

#include <string>
#include <string_view>

#include "api/answers.h"
#include "api/context.h"
#include "api/envelope.h"
#include "api/routes.h"
#include "base/error.h"
#include "db/database.h"
#include "db/resources.h"
#include "labs/parts.h"

namespace atelier::api {

inline constexpr std::string_view kLabServices = "Microsoft.LabServices";

// Each file of resources adds its own; add_lab_routes() calls them all.
void add_lab_plan_routes(ArmRoutes& routes);
void add_lab_plan_image_routes(ArmRoutes& routes);
void add_save_image_routes(ArmRoutes& routes);
void add_lab_resource_routes(ArmRoutes& routes);
void add_virtual_machine_routes(ArmRoutes& routes);
void add_lab_sku_routes(ArmRoutes& routes);

const labs::Parts& lab_parts(const Call& call);
db::Database& database_of(const Call& call);

// The ids that the route's parameters {s}, {rg}, {plan}, {lab} and {vm} name.
std::string lab_plan_id(const Call& call);
std::string lab_id(const Call& call);
std::string virtual_machine_id(const Call& call);  // the alias "template" becomes "0"

// 409 InvalidResourceLocation when the resource is in another region than `location`.
Status check_same_location(const db::Resource& existing, std::string_view location);

// The tags that a PATCH leaves: given ones replace or, when null, remove; a list (as the contract of 2022 says by
// mistake) is ignored.
Result<json::object> patched_tags(const json::object& tags, const json::object& body);

// The list of all resources of `type` in the route's resource group, or in the subscription when it has none.
Result<http::Response> list_in_scope(Call& call, std::string_view type);

}  // namespace atelier::api
