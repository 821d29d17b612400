// Reads a whole store and names everything in it that is not what it should be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"
#include "image/store.h"

namespace atelier::image {

struct VerifyOptions {
  unsigned threads = 0;             // 0 = one per processor, at most 8
  std::size_t problems_max = 1000;  // more are counted, not listed
};

struct Problem {
  std::string object;  // "packs/ab/…" or "images/…"
  std::string what;    // a sentence
};

struct VerifyReport {
  std::uint64_t packs = 0, pack_bytes = 0, chunks = 0, plain_bytes = 0, images = 0;
  std::uint64_t problem_count = 0;
  std::vector<Problem> problems;  // at most problems_max, ordered by object

  bool clean() const { return problem_count == 0; }
};

// Every pack: the digest of the file is its name, the footer is whole, each chunk decodes to bytes of its id. Every
// image: its record, root and segments can be read and every chunk is there and good. Goes on after a bad object; fails
// only when it cannot list the store or is asked to stop. Progress: phase "Verifying", bytes of packs.
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
