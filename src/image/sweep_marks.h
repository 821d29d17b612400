// Which chunks of which packs are in use: what a sweep decides by. Memory: about 5 bytes a chunk.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/store.h"

namespace atelier::image {

// The packs of the index as they were when it was made, with a mark for each chunk. One thread.
class SweepMarks {
 public:
  struct Pack {
    Digest id;
    std::vector<std::uint32_t> offsets;  // of its chunks, as the index knows them; ordered
    std::vector<bool> in_use;            // the same chunks
    std::uint64_t chunks_in_use = 0;
    std::uint64_t bytes_in_use = 0;  // stored bytes

    bool uses(std::uint32_t offset) const;
  };

  // No chunk is in use yet. The caller holds the care lock, so that no chunk moves between packs.
  static Result<SweepMarks> of_index(Store& store);

  // Marks what the image needs. kDataLoss when root or a segment cannot be read: then it is not known what else is in
  // use. Chunks that are nowhere are counted in missing().
  Status mark_image(Store& store, const Digest& root, TaskContext& task);
  bool has_marked(const Digest& root) const { return images_.contains(root); }

  std::uint64_t missing() const { return missing_; }
  std::uint64_t chunks_in_use() const;
  std::vector<Pack>& packs() { return packs_; }
  // nullptr when it was not in the index then.
  const Pack* find(const Digest& pack) const;

 private:
  Status mark_chunks(Store& store, std::span<const Digest> ids);

  std::vector<Pack> packs_;
  std::unordered_map<Digest, std::size_t, DigestHash> places_;  // in packs_
  std::unordered_set<Digest, DigestHash> images_;
  std::unordered_set<Digest, DigestHash> segments_;
  std::uint64_t missing_ = 0;
};

}  // namespace atelier::image
