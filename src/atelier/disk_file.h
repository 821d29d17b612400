// Disk files of other programs' formats, into a store and out of it.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/task_context.h"
#include "image/capture.h"
#include "image/digest.h"
#include "image/inspect.h"
#include "image/store.h"
#include "vm/convert_file.h"

namespace atelier::cli {

// Stores a file that image::inspect_disk_file() took. A raw one is read here, others by QEMU in a sandbox.
Result<image::CaptureResult> store_disk_file(image::Store& store, const std::filesystem::path& file,
                                             const image::DiskFormat& format, const std::string& label,
                                             TaskContext& task);

// Writes the image to `path` in the format: beside it first, under a name that ends in ".part", durable with its own
// name only when it is whole and our inspector reads the same size from it. A file that is there is replaced. Formats
// other than raw need room for the raw disk too meanwhile. Fails like image::restore_raw_file(), and with kTooLarge,
// before a byte is written, when the format cannot hold the disk; then nothing is left behind.
Status write_disk_file(image::Store& store, const image::Digest& root, const std::filesystem::path& path,
                       const vm::TargetFormat& target, TaskContext& task);

}  // namespace atelier::cli
