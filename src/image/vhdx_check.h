// The checks of a VHDX file from outside, after Microsoft's [MS-VHDX].
#pragma once

#include "image/inspect.h"

namespace atelier::image {

// Checks both headers and region tables with their checksums, the metadata and the block table: regions, log and blocks
// lie inside the file and do not overlap, and nothing of a parent is named. A file whose log was not replayed is
// refused: it was not closed, and its tables may be out of date. Fails as inspect_disk() does.
Result<DiskFormat> check_vhdx(const DiskBytes& bytes, const InspectOptions& options);

}  // namespace atelier::image
