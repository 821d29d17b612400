// The regions this service has: where a store and its VM hosts are. Made once at start; read-only afterwards, so any
// thread may use it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace atelier::image {
class Store;
}
namespace atelier::vm {
class ImageServer;
}

namespace atelier::catalog {

struct Region {
  std::string name;          // "japaneast"
  std::string display_name;  // "Japan East"
  std::string geography;     // "japan": an export reaches every region of its geography
  // Both belong to whoever made the region, outlive it, and may be null only in tests that touch no bytes.
  image::Store* store = nullptr;
  vm::ImageServer* server = nullptr;  // serves this store's images to its VMs
};

// "Japan East" and "japaneast" are one region: lower case, no spaces.
std::string normal_region_name(std::string_view name_or_display_name);

class Regions {
 public:
  explicit Regions(std::vector<Region> regions) : regions_(std::move(regions)) {}

  const std::vector<Region>& all() const { return regions_; }
  // By name or display name; nullptr when there is none.
  const Region* find(std::string_view name_or_display_name) const;
  // The same; else kInvalidArgument, reason "LocationNotAvailableForResourceType", naming the regions there are, with
  // `target` as the field at fault.
  Result<const Region*> require(std::string_view name_or_display_name, std::string_view target) const;
  // The other regions of this region's geography; empty for an unknown name.
  std::vector<const Region*> others_in_geography(std::string_view name) const;

 private:
  std::vector<Region> regions_;
};

}  // namespace atelier::catalog
