#include "catalog/regions.h"

#include <fmt/format.h>

#include "base/text.h"

namespace atelier::catalog {

std::string normal_region_name(std::string_view name_or_display_name) {
  std::string name;
  for (const char c : to_lower(name_or_display_name)) {
    if (c != ' ') name += c;
  }
  return name;
}

const Region* Regions::find(std::string_view name_or_display_name) const {
  const std::string name = normal_region_name(name_or_display_name);
  for (const Region& region : regions_) {
    if (region.name == name || normal_region_name(region.display_name) == name) return &region;
  }
  return nullptr;
}

Result<const Region*> Regions::require(std::string_view name_or_display_name, std::string_view target) const {
  if (const Region* region = find(name_or_display_name)) return region;
  std::string names;
  for (const Region& region : regions_) names += (names.empty() ? "" : ", ") + region.name;
  return fail(Error(Code::kInvalidArgument, fmt::format("'{}' is no region of this service. Its regions are: {}.",
                                                        name_or_display_name.substr(0, 100), names))
                  .with_reason("LocationNotAvailableForResourceType")
                  .with_target(std::string(target)));
}

std::vector<const Region*> Regions::others_in_geography(std::string_view name) const {
  std::vector<const Region*> others;
  const Region* here = find(name);
  if (here == nullptr) return others;
  for (const Region& region : regions_) {
    if (&region != here && region.geography == here->geography) others.push_back(&region);
  }
  return others;
}

}  // namespace atelier::catalog
