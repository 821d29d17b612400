// The few OData filters that clients send: "resourceGroup eq 'rg' and resourceType eq 'T'".
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::api {

// The value that `filter` compares `field` (any case) with by eq; "" when it does not. Conditions are joined by "and";
// two quotes inside a value stand for one. kInvalidArgument, target "$filter", for anything else.
Result<std::string> filter_value(std::string_view filter, std::string_view field);

}  // namespace atelier::api
