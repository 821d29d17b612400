// The checks of a VMDK file from outside, after VMware's "Virtual Disk Format 5.0".
#pragma once

#include "image/inspect.h"

namespace atelier::image {

// One file of type monolithicSparse or streamOptimized (with its directory at the start, or at the end with a footer).
// Checks header, descriptor, grain directory and grain tables: all lie inside the file, no table is used twice, and the
// grains do not claim more bytes than the file can hold. Fails as inspect_disk() does.
Result<DiskFormat> check_vmdk(const DiskBytes& bytes, const InspectOptions& options);

}  // namespace atelier::image
