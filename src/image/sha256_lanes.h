// SHA-256 of several inputs at once on one core. The processor's SHA instructions take four cycles to give a result and
// can begin another every two: one input alone leaves them idle half of the time. Three inputs side by side fill them.
//
// The instructions as in Intel's "New Instructions Supporting the Secure Hash Algorithm"; the algorithm is FIPS 180-4.
#pragma once

#include <cstddef>
#include <span>

#include "image/digest.h"

namespace atelier::image {

// Does this processor have the instructions? Asked once.
bool has_sha256_lanes();

// digests[i] becomes the digest of inputs[i]; both have the same length. Only where has_sha256_lanes(): others ask
// sha256_each(). Any thread.
void sha256_in_lanes(std::span<const std::span<const std::byte>> inputs, std::span<Digest> digests);

}  // namespace atelier::image
