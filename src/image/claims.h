// Who stores a chunk that is not in the index yet: so that a chunk that comes twice within one image is stored once.
#pragma once

#include <mutex>
#include <span>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "image/digest.h"
#include "image/index.h"

namespace atelier::image {

// The chunks that one image's writer is about to store. No more than what the packs in its memory hold, and
// the batches of a copy that are on their way. Thread-safe.
class Claims {
 public:
  // is_new[i] says whether ids[i] is neither in the index nor claimed: the caller has claimed it now, and must store
  // it.
  Status claim_new(Index& index, std::span<const Digest> ids, std::vector<bool>& is_new);
  // They are in the index now.
  void release(std::span<const Digest> ids);

 private:
  std::mutex mutex_;
  std::unordered_set<Digest, DigestHash> ids_;  // guarded by mutex_
};

}  // namespace atelier::image
