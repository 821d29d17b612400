// Look-ups of random ids in a large index wait for memory, one page after the other. For a batch of them the waits can
// be one: this walks all the ids' paths side by side and has the processor fetch what LMDB is about to read.
#pragma once

#include <lmdb.h>

#include <cstddef>
#include <span>

#include "image/digest.h"

namespace atelier::image {

// As many as their nodes stay in a core's cache until they are looked up.
inline constexpr std::size_t kPrefetchIdsMax = 64;

// A hint only. It reads the pages of LMDB's data format 1 by itself, within the map's bounds; were they laid out
// otherwise, the look-ups that follow would be slower and their answers the same. `tables` is the environment's unnamed
// table and `name` the one to be looked up in; at most kPrefetchIdsMax ids. Any thread, in its own read transaction.
void prefetch_paths(MDB_txn* transaction, MDB_dbi tables, std::span<const std::byte> name, std::span<const Digest> ids);

}  // namespace atelier::image
