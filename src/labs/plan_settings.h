// What a lab account (ARM: lab plan) may say about itself. Pure rules; whether the gallery exists is asked elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "catalog/regions.h"
#include "db/resources.h"

namespace atelier::labs {

// `given` (the body's properties) as they are stored: checked, words in Azure's case, unknown and read-only fields
// dropped, a null or "" sharedGalleryId (detach) left out. allowedRegions is filled in when absent: the plan's region
// and then the others of its geography, which is where exported images are replicated to.
Result<json::object> read_plan(const json::object& given, std::string_view location, const catalog::Regions& regions);

// The short names of the regions that labs of this plan may be in.
std::vector<std::string> allowed_regions_of(const db::Resource& plan);

// The attached gallery's ARM id, "" when there is none.
std::string attached_gallery_of(const db::Resource& plan);

}  // namespace atelier::labs
