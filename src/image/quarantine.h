// How packs go into the trash and come back while others read and write: the store's side of docs/locking.md, "The
// sweep". Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "image/digest.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/store.h"
#include "image/trash.h"

namespace atelier::image {

using DigestSet = std::unordered_set<Digest, DigestHash>;

// Takes out of the index what sweeps threw away since it last followed one. Gives the trash; its generation is the
// index's then.
Result<std::shared_ptr<const Trash>> follow_sweeps(Store& store);

// Adds packs to the index that lie in the store, are in no trash, and are not in the index: a writer died before it had
// indexed them. A pack that cannot be read is logged and left out: verify names it.
Status index_unknown_packs(Store& store);

// Makes what `builder` holds a pack of the store, durable and indexed; gives its digest. The builder may hold a chunk
// more afterwards. `known` as in Index::add_pack.
Result<Digest> store_pack(Store& store, PackBuilder& builder,
                          Index::AddOptions::Known known = Index::AddOptions::Known::kStays);

// Where the chunk is in the trash, if it is.
Result<std::optional<ChunkLocation>> find_in_trash(Store& store, const Digest& id);

// Whether the caller holds the commit lock.
enum class CommitLock { kHeld, kTake, kTakeOrFail };

// Brings back the packs of the trash that hold one of `missing`, and takes out of `missing` what was found. kConflict
// with kTakeOrFail when the lock is not free.
Status bring_back(Store& store, DigestSet& missing, CommitLock lock);

// Throws away the packs that `choose` gives, which runs while no image can be committed. At most kEpochPacksMax; none
// and nothing happens. Gives them.
Result<std::vector<Digest>> retire_packs(Store& store, const std::function<Result<std::vector<Digest>>()>& choose);

// Is the whole tree of the image there, as far as the index knows? Brings back what is in the trash; kDataLoss names
// the first chunk that is missing. The caller holds the commit lock.
Status require_whole_tree(Store& store, const Digest& root);

}  // namespace atelier::image
