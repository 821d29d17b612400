// An image becomes a raw disk file.
#pragma once

#include <filesystem>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/store.h"

namespace atelier::image {

// Writes the image to `path` as a sparse raw file: first beside it under a name that ends in ".part", and durable with
// its own name only when it is whole. A file that is there is replaced. kNotFound when the store has no such image,
// kDataLoss when it is damaged; then nothing is left behind. Progress: phase "Writing", bytes of the disk.
Status restore_raw_file(Store& store, const Digest& root, const std::filesystem::path& path, TaskContext& task);

}  // namespace atelier::image
