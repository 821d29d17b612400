// Brings an image to another store, sending only the chunks that are missing there.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/store.h"

namespace atelier::image {

struct CopyResult {
  std::uint64_t bytes_sent = 0;   // stored (compressed) bytes
  std::uint64_t chunks_sent = 0;  // with segments and the root
};

// Compares the trees; chunks travel as stored and their digests are checked on arrival; the root goes last, then the
// record. Idempotent. Stopped or failed, it goes on where it was when called again: what reached a pack is not
// sent again. Progress: phases "Copying" and "Committing"; bytes_new = plain bytes sent, bytes_known = already there.
// kNotFound when `from` has no such image, kCanceled when asked to stop.
Result<CopyResult> copy_image(Store& from, Store& to, const Digest& root, TaskContext& task);

}  // namespace atelier::image
