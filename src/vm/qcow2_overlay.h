// An empty qcow2 file over a backing disk, written by ourselves: a VM's disk is made without starting a program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"

namespace atelier::vm {

// Writes a new file (version 3, clusters of 64 KiB, nothing allocated) whose bytes are all read from the raw disk
// `backing_uri`. Some 16 KiB are written whatever the disk's size; the file is sparse and shorter than 1 MiB. Durable
// when it returns, its name not yet. kInvalidArgument unless disk_bytes is a multiple of 512 in 512 … 2^44 and the name
// has at most 1023 bytes; kAlreadyExists when there is a file. https://gitlab.com/qemu-project/qemu
// docs/interop/qcow2.txt
Status write_qcow2_overlay(const std::filesystem::path& path, const std::string& backing_uri, std::uint64_t disk_bytes);

}  // namespace atelier::vm
