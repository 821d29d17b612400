// Reads a whole store and names everything in it that is not what it should be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"
#include "image/problem.h"
#include "image/store.h"

namespace atelier::image {

struct VerifyOptions {
  unsigned threads = 0;             // 0 = one per processor, at most 8
  std::size_t problems_max = 1000;  // more are counted, not listed
  // Only the packs of one of `subsets` equal shares, by their digests: 0 <= subset < subsets. Of the others only what
  // the index says. All subsets together read each pack once.
  std::uint64_t subset = 0, subsets = 1;
  std::vector<Store*> heal_from = {};  // asked in this order; they outlive the call
};

struct VerifyReport {
  std::uint64_t packs = 0, pack_bytes = 0, chunks = 0, plain_bytes = 0, images = 0;
  std::uint64_t problem_count = 0;
  std::vector<Problem> problems;  // at most problems_max, ordered by object; images that lack a chunk are among them
  std::uint64_t chunks_healed = 0;
  std::vector<Problem> healed;  // what was wrong and is not any more; ordered by object

  bool clean() const { return problem_count == 0; }
};

// Every pack that is not in the trash: the digest of the file is its name, the footer is whole, each chunk decodes to
// bytes of its id. Every image: its record, root and segments can be read and every chunk is there and good. Goes on
// after a bad object; fails only when it cannot list the store, cannot write what it heals, or is asked to stop. Runs
// beside readers and writers. Progress: phases "Verifying", bytes of packs, and "Healing".
//
// With `heal_from`, what is bad, cut short or missing comes from there, is checked, and is put into new packs; the good
// chunks of a damaged pack go with it, and the damaged file into the trash. A damaged record comes from there too, or
// from the image's own tree. The store must be open for writing; kConflict while it is swept.
Result<VerifyReport> verify_store(Store& store, const VerifyOptions& options, TaskContext& task);

struct StoreStats {
  std::uint64_t images = 0, packs = 0, pack_bytes = 0, chunks = 0;
  std::uint64_t plain_bytes = 0;   // of all chunks, each once
  std::uint64_t stored_bytes = 0;  // of the same, as stored
  std::uint64_t disk_bytes = 0;    // sum of the images' disks
  std::uint64_t data_bytes = 0;    // sum of the images' data
};

// From index and records: reads no chunk.
Result<StoreStats> store_stats(Store& store);

}  // namespace atelier::image
