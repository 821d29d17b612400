// Garbage collection: finds what no image needs, throws it into the trash, and purges what has lain there long enough.
// Runs beside readers and writers of this and other processes: docs/locking.md, "The sweep".
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/problem.h"
#include "image/signed_record.h"
#include "image/store.h"

namespace atelier::image {

struct SweepOptions {
  enum class Mode {
    kReal,
    kDryRun,  // says what would go; changes nothing, and a store that is open for reading will do
  } mode = Mode::kReal;
  // Without it a sweep that would free more than half of the packs' bytes does nothing, and fails.
  enum class Brake { kOn, kOff } brake = Brake::kOn;
  std::chrono::seconds purge_after = std::chrono::hours(24);           // how long packs lie in the trash
  std::chrono::seconds removed_kept_for = std::chrono::hours(24 * 7);  // how long a removed image can be brought back
  unsigned rewrite_below_percent = 50;  // packs of which less is in use are written anew, without the rest
};

// Of a dry run: what would be. Lists are ordered.
struct SweepReport {
  std::uint64_t images = 0, removed_images = 0;  // that were looked at; removed ones that are still kept
  std::uint64_t packs = 0, pack_bytes = 0;       // before, without the trash
  std::uint64_t chunks = 0, chunks_in_use = 0;
  std::vector<Digest> dead;       // packs thrown away: nothing in use
  std::vector<Digest> rewritten;  // packs thrown away: what is in use was moved to new packs
  std::vector<Digest> purged;     // packs of the trash that are gone for good
  std::vector<Digest> forgotten;  // removed images whose time has passed
  std::uint64_t bytes_freed = 0;  // that the thrown away packs take, less what was written anew
  std::uint64_t bytes_purged = 0;
  std::uint64_t bytes_moved = 0;
  std::vector<Problem> problems;  // what could not be read, moved or removed; the rest was done

  bool clean() const { return problems.empty(); }
};

// Stopped or killed at any moment it leaves a whole store; the next sweep goes on. kConflict while another sweep runs;
// kFailedPrecondition by the brake; kDataLoss when an image's root or segment cannot be read: then it is not known what
// it needs, and nothing is thrown away. Progress: phases "Marking", "Rewriting", "Purging", bytes of disks and of
// packs.
Result<SweepReport> sweep_store(Store& store, const SweepOptions& options, TaskContext& task);

}  // namespace atelier::image
