// For the sources of this folder only: small files that appear whole or not at all.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace atelier::auth {

enum class FileMode { kPrivate = 0600, kPublic = 0644 };

// Absent when there is no such file. Files over 1 MiB are refused.
Result<std::optional<std::string>> read_file(const std::filesystem::path& path);
// Replaces the file in one step; durable when it returns.
Status write_file(const std::filesystem::path& path, std::string_view text, FileMode mode);

}  // namespace atelier::auth
