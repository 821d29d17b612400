// The checks of a qcow2 file from outside, after QEMU's docs/interop/qcow2.txt.
#pragma once

#include "image/inspect.h"

namespace atelier::image {

// Checks header, header extensions, refcount table, snapshot table, and that every L2 table and data cluster the
// active L1 table refers to lies inside the file (qemu would read zeros for them: a cut-off file must not become a
// disk with holes). Reads at most about as many bytes as the file has. Fails as inspect_disk() does.
Result<DiskFormat> check_qcow2(const DiskBytes& bytes, const InspectOptions& options);

}  // namespace atelier::image
