// Checks what must hold between the parts of a store, without reading the chunks' bytes: that is verify's.
#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"
#include "image/problem.h"
#include "image/store.h"

namespace atelier::image {

struct FsckReport {
  std::uint64_t images = 0, removed_images = 0, packs = 0, trash_packs = 0, chunks = 0;
  std::vector<Problem> problems;  // ordered by object

  bool clean() const { return problems.empty(); }
};

// - Every image has a record that can be read, and a tree of which every chunk is in the index; every removed image has
//   such a tree as well.
// - Every entry of the index is one of the footer of the pack that it names; every pack has a whole footer.
// - Every pack is in the index or in the trash, and not in both; the index names no pack that is gone, and has followed
//   the last sweep.
// - Records of the trash can be read; nothing is kept of an epoch that is gone; every object has the name of its kind.
//
// Changes nothing. Beside writers and sweeps it looks again at what they may have been in the middle of. Reads roots,
// segments and footers. Progress: phase "Checking", bytes of packs.
Result<FsckReport> fsck_store(Store& store, TaskContext& task);

}  // namespace atelier::image
