// ISO 8601 durations of days to seconds, as Azure Lab Services writes quotas and delays: "PT10H", "P1DT30M".
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::labs {

// Fails with kInvalidArgument on anything else: years, months and weeks, fractions, signs, an empty duration.
Result<std::chrono::seconds> parse_duration(std::string_view text, std::string_view target);

// The normal form, hours at most: "PT240H", "PT1H30M", "PT0S". `duration` is not negative.
std::string to_iso8601(std::chrono::seconds duration);

}  // namespace atelier::labs
