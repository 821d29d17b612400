#include "api/api_versions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/text.h"

namespace atelier::api {
namespace {

// What the clients named in the reference send (galleries, disks, snapshots and images have versions of their own).
constexpr std::array<std::string_view, 44> kCompute = {
    "2026-04-01", "2026-03-02", "2026-03-01", "2025-12-03", "2025-04-01", "2025-03-03", "2025-01-02", "2024-11-01",
    "2024-07-01", "2024-03-03", "2024-03-02", "2024-03-01", "2023-10-02", "2023-09-01", "2023-07-03", "2023-07-01",
    "2023-04-02", "2023-03-01", "2023-01-02", "2022-11-01", "2022-08-03", "2022-08-01", "2022-07-02", "2022-03-03",
    "2022-03-02", "2022-03-01", "2022-01-03", "2021-12-01", "2021-11-01", "2021-10-01", "2021-08-01", "2021-07-01",
    "2021-04-01", "2020-12-01", "2020-09-30", "2020-06-30", "2020-05-01", "2019-12-01", "2019-11-01", "2019-07-01",
    "2019-03-01", "2018-09-30", "2018-06-01", "2018-04-01"};
constexpr std::array<std::string_view, 4> kLabServices = {"2023-06-07", "2022-08-01", "2021-11-15-preview",
                                                          "2021-10-01-preview"};
constexpr std::array<std::string_view, 28> kResources = {
    "2025-04-01", "2025-03-01", "2024-11-01", "2024-08-01", "2024-07-01", "2024-03-01", "2023-07-01",
    "2022-12-01", "2022-09-01", "2022-06-01", "2022-01-01", "2021-04-01", "2021-01-01", "2020-10-01",
    "2020-08-01", "2020-06-01", "2020-01-01", "2019-11-01", "2019-10-01", "2019-08-01", "2019-07-01",
    "2019-06-01", "2019-05-10", "2019-05-01", "2018-05-01", "2017-05-10", "2016-06-01", "2016-02-01"};

}  // namespace

std::string_view provider_of_pattern(std::string_view pattern) {
  for (const std::string_view provider : {"Microsoft.Compute", "Microsoft.LabServices"}) {
    if (pattern.find(fmt::format("/{}/", provider)) != std::string_view::npos || pattern.ends_with(provider)) {
      return provider;
    }
  }
  return "Microsoft.Resources";
}

std::span<const std::string_view> api_versions_of(std::string_view provider) {
  if (equals_ignoring_case(provider, "Microsoft.Compute")) return kCompute;
  if (equals_ignoring_case(provider, "Microsoft.LabServices")) return kLabServices;
  return kResources;
}

Status check_api_version(std::string_view provider, std::string_view version) {
  if (version.empty()) {
    return fail(Error(Code::kInvalidArgument,
                      fmt::format("The query parameter api-version is required, for example ?api-version={}.",
                                  api_versions_of(provider).front()))
                    .with_reason("MissingApiVersionParameter"));
  }
  const auto known = api_versions_of(provider);
  if (std::ranges::any_of(known, [&](std::string_view each) { return equals_ignoring_case(each, version); })) return {};
  std::string names;
  for (const std::string_view each : known) names += (names.empty() ? "" : ", ") + std::string(each);
  return fail(Error(Code::kInvalidArgument,
                    fmt::format("The api-version '{}' is not one of {}: {}.", version.substr(0, 40), provider, names))
                  .with_reason("InvalidApiVersionParameter"));
}

}  // namespace atelier::api
