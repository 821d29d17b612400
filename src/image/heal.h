// Makes good what is damaged or missing in a store, from other stores of the same images.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/image_record.h"
#include "image/store.h"

namespace atelier::image {

struct PackHealing {
  std::uint64_t chunks_healed = 0;  // that came from another store
  std::vector<Digest> healed;       // packs: all that the index looks for in them is in new packs now; ordered
  std::vector<Digest> unknown;      // packs that may hold more: without index entry and footer, or with lost chunks
};

// `damaged`: packs whose file is damaged, cut short, another's, or gone. What is good in them and what `sources` have
// goes into new packs. A pack of which a chunk is nowhere stays where it is, and keeps that chunk. The caller holds the
// care lock.
Result<PackHealing> heal_packs(Store& store, std::span<Store* const> sources, std::span<const Digest> damaged,
                               TaskContext& task);

// Throws damaged packs away of which nothing is needed.
Status throw_away(Store& store, std::span<const Digest> packs);

// Brings the chunks of an image that the index does not have, or that are damaged. Gives how many came; kDataLoss when
// one is nowhere.
Result<std::uint64_t> heal_image(Store& store, std::span<Store* const> sources, const Digest& root, TaskContext& task);

// Puts a record in place of a damaged one: from a source, else as the image's tree tells it. kDataLoss when the tree
// cannot be read.
Result<ImageRecord> heal_record(Store& store, std::span<Store* const> sources, const Digest& root);

// For a reader that met a damaged or missing chunk: its plain bytes from `source`, checked; and the store has it again.
// When it cannot be written it is logged, and the bytes are given all the same.
Result<std::vector<std::byte>> heal_chunk(Store& store, Store& source, const Digest& id);

}  // namespace atelier::image
