// What the three levels of a gallery have in common: their ids from a route, and their deletion.
#pragma once

#include <string>
#include <string_view>

#include "api/context.h"
#include "base/error.h"
#include "base/json.h"
#include "catalog/arm_id.h"
#include "db/resources.h"

namespace atelier::api {

inline constexpr std::string_view kCompute = "Microsoft.Compute";

// Of the route's {s}, {rg}, {gallery}, {image} and {version}.
catalog::ArmId gallery_id(const Call& call);
catalog::ArmId definition_id(const Call& call);
catalog::ArmId version_id(const Call& call);

// 409 InvalidResourceLocation when the resource is elsewhere.
Status check_location(const db::Resource& existing, std::string_view location);

// `body.location`, or the parent's when the body has none.
Result<std::string> location_or_parents(const Call& call, const json::object& body, const db::Resource& parent);

// A gallery or a definition: 200 when it went, 204 when there was none, 409 when something is in it.
Result<http::Response> delete_empty(Call& call, const std::string& id);

}  // namespace atelier::api
