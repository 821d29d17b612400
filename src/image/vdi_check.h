// The checks of a VDI file from outside: VirtualBox's format, as QEMU's block/vdi.c describes it.
#pragma once

#include "image/inspect.h"

namespace atelier::image {

// Version 1.1, dynamic and static, with blocks of 1 MiB and no parent. Every block of the map lies inside the file and
// none is used twice. Fails as inspect_disk() does.
Result<DiskFormat> check_vdi(const DiskBytes& bytes, const InspectOptions& options);

}  // namespace atelier::image
