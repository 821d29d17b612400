// When an image's record may go from a region's store: several versions may share one image, and a VM's disk leans on
// the image it was made from for as long as the VM lives.
#pragma once

#include <string>

#include "base/error.h"
#include "catalog/parts.h"

namespace atelier::gallery {

struct StoredImage {
  std::string root;        // hexadecimal; "" is no image and nothing happens
  std::string region;      // short name; one that is no longer served is passed over
  std::string version_id;  // the version that gives it up as a whole; "" when none does
};

enum class Removed { kNo, kYes };

// Takes the image's record out of the region's store, unless another version or a VM there needs it. Its chunks stay
// until a sweep. Idempotent.
Result<Removed> remove_unless_needed(const catalog::Parts& parts, const StoredImage& image);

}  // namespace atelier::gallery
