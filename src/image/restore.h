// An image becomes a raw disk file.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/store.h"

namespace atelier::image {

struct RestoreOptions {
  // 0 = two more than processors, so that some read and write while others decode; at most 18.
  unsigned threads = 0;
  // How much data of the disk one thread reads, decodes, checks and writes at a time. Memory: at most
  // (threads + 2) * (2 * window_bytes + 2 MiB), so 200 MiB with what is set here.
  std::uint64_t window_bytes = 4U << 20;
};

// Writes the image to `path` as a sparse raw file: first beside it under a name that ends in ".part", and durable with
// its own name only when it is whole. A file that is there is replaced. kNotFound when the store has no such image,
// kDataLoss when it is damaged; then nothing is left behind. Progress: phase "Writing", bytes of the disk.
Status restore_raw_file(Store& store, const Digest& root, const std::filesystem::path& path, TaskContext& task,
                        const RestoreOptions& options = {});

}  // namespace atelier::image
