// A raw disk file becomes an image.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/task_context.h"
#include "image/capture.h"
#include "image/store.h"

namespace atelier::image {

struct FileCaptureOptions {
  std::string label{};
  unsigned threads = 0;
};

// Reads a raw disk file that nobody writes to and commits it as an image, as capture_disk() does. Its holes are passed
// over. Give it only files that inspect_disk_file() found to be
// raw. kInvalidArgument unless the size is a multiple of 512 bytes.
Result<CaptureResult> capture_raw_file(Store& store, const std::filesystem::path& path,
                                       const FileCaptureOptions& options, TaskContext& task);

}  // namespace atelier::image
