// Which api-versions are answered. All of one provider's are treated alike, but for what their handlers say.
#pragma once

#include <span>
#include <string_view>

#include "base/error.h"

namespace atelier::api {

// "Microsoft.Compute", "Microsoft.LabServices" or "Microsoft.Resources" (subscriptions, groups and what has no
// provider), from a route's pattern.
std::string_view provider_of_pattern(std::string_view pattern);

// Newest first.
std::span<const std::string_view> api_versions_of(std::string_view provider);

// kInvalidArgument, reason "MissingApiVersionParameter" when `version` is empty, "InvalidApiVersionParameter" (naming
// those there are) for an unknown one.
Status check_api_version(std::string_view provider, std::string_view version);

}  // namespace atelier::api
