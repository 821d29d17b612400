// Brings an image to another store, sending only the chunks that are missing there.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/store.h"

namespace atelier::image {

struct CopyOptions {
  // How many batches of chunks, and as many segment lists, are asked of the source at the same time: what fills a line
  // whose answers take long. At most 32.
  unsigned in_flight = 8;
  // How many plain bytes a batch has. Memory: at most (in_flight + 2) * (2 * batch_bytes + 2 MiB), so 100 MiB with what
  // is set here, and the two packs that are being written.
  std::uint64_t batch_bytes = 4U << 20;
};

struct CopyResult {
  std::uint64_t bytes_sent = 0;   // stored (compressed) bytes
  std::uint64_t chunks_sent = 0;  // with segments and the root
};

// Compares the trees, first by the segments' digests: of a segment that the target has, nothing is read from the
// source. Missing chunks travel as stored, neighbours in a pack with one read, and their digests are checked on
// arrival; the root goes last, then the record, then the image's boot trace if it has one. Idempotent. Stopped or
// failed, it goes on where it was when called again: what reached a pack is not sent again. Progress: phases "Copying"
// and "Committing"; bytes_new = plain bytes sent, bytes_known = already there. kNotFound when `from` has no such image,
// kCanceled when asked to stop.
Result<CopyResult> copy_image(Store& from, Store& to, const Digest& root, TaskContext& task,
                              const CopyOptions& options = {});

}  // namespace atelier::image
