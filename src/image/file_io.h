// The system calls behind directory buckets and index files, with errors as values. Error texts name what was done,
// never a path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace atelier::image {

// Opens relative to the folder `at` (or AT_FDCWD); always close-on-exec. `doing` is for the error.
Result<FileDescriptor> open_file(int at, const std::string& path, int flags, unsigned mode, std::string_view doing);
Status write_all(int fd, std::span<const std::byte> bytes, std::string_view doing);
Status write_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes, std::string_view doing);
// write_all() for the first bytes of a new file, past the page cache where file system and memory allow it: what is
// long, written once and not read soon would only push other things out, and is copied for nothing.
Status write_all_uncached(int fd, std::span<const std::byte> bytes, std::string_view doing);
// Reads up to into.size() bytes; fewer only at the end of the file.
Result<std::size_t> read_at(int fd, std::uint64_t offset, std::span<std::byte> into, std::string_view doing);
// One fsync. It is never tried again: after a failure the kernel may have dropped the data, and say yes next time.
Status sync_file(int fd, std::string_view doing);
// Makes the names in a folder durable.
Status sync_folder(int at, const std::string& path, std::string_view doing);

// A whole small file, made durable with its name, replacing another: for files that are no objects.
Status replace_file(const std::filesystem::path& path, std::string_view text);

}  // namespace atelier::image
