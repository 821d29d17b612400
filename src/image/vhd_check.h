// The checks of a VHD file from outside, after Microsoft's "Virtual Hard Disk Image Format Specification" 1.0.
#pragma once

#include "image/inspect.h"

namespace atelier::image {

// Fixed (the disk and a footer) and dynamic. Checks the footer with its checksum and, of a dynamic one, the footer's
// copy, the header with its checksum and the block table: every block lies inside the file and no two overlap. The
// size is the footer's current size, not what the geometry beside it rounds it to. A file that ends with a footer's
// cookie is a VHD or nothing: with a wrong checksum it is refused, not taken for raw. Fails as inspect_disk() does.
Result<DiskFormat> check_vhd(const DiskBytes& bytes, const InspectOptions& options);

}  // namespace atelier::image
