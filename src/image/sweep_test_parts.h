// What the tests of the sweep share.
#pragma once

#include "image/store_test_parts.h"
#include "image/sweep.h"

namespace atelier::image {

inline constexpr StoreOptions kSweptStore{.pack_bytes_max = kSmallPacks};
// No waiting: for tests that look at what is swept, not at when.
inline constexpr SweepOptions kAtOnce{.brake = SweepOptions::Brake::kOff, .purge_after = {}, .removed_kept_for = {}};

}  // namespace atelier::image
