// The second half of a sweep: what has lain in the trash long enough goes for good.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "image/digest.h"
#include "image/problem.h"
#include "image/store.h"
#include "image/trash.h"

namespace atelier::image {

using PackSizes = std::unordered_map<Digest, std::uint64_t, DigestHash>;

struct PurgeResult {
  std::vector<Digest> packs;  // that are gone
  std::uint64_t bytes = 0;
  std::vector<Problem> problems;
};

// What purge_epoch() would do.
PurgeResult would_purge(const TrashEpoch& epoch, const PackSizes& sizes);

// Erases the epoch's packs, but not those that came back, and then the epoch. One that is alarmed is dissolved instead:
// all of its packs come back, for the next sweep to judge. A pack that cannot be erased is a problem; then the epoch
// stays. The caller holds the care lock and has marked all images since the epoch was made.
Result<PurgeResult> purge_epoch(Store& store, std::uint64_t number, const PackSizes& sizes);

}  // namespace atelier::image
