// The plugin's parameters, KEY=VALUE each.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "nbdkit_plugin/served_images.h"

namespace atelier::nbdkit_plugin {

struct Configuration {
  std::filesystem::path store_folder;
  ServeOptions serve;
};

// What nbdkit --help says of them.
inline constexpr const char* kParametersHelp =
    "store=DIR           the folder of the store (required)\n"
    "heal-from=DIR       a store that has copies of its images; may be repeated\n"
    "memory-mib=N        MiB of decoded data kept in memory, of all images (default 64)\n"
    "cache-file=PATH     file that keeps decoded data over restarts (default none)\n"
    "cache-mib=N         MiB of it at most (default 4096)\n"
    "read-ahead-mib=N    MiB brought ahead of a reader in sequence; 0 for none (default 8)\n"
    "trace=on|off        record a version's first boot, and replay it to later ones (default on)\n"
    "trace-seconds=N     how long a boot is recorded (default 60)\n"
    "hydrate=on|off      fill the cache file with open images once they have booted (default off)\n"
    "hydrate-mib=N       MiB of each image at most (default 2048)\n"
    "stats=PATH          file that tells as JSON, all the time, what was read from where (default none)";

// Sets one parameter; folders and files are absolute already. kInvalidArgument, with words for the user, for a key that
// is unknown or a value out of its bounds.
Status set_parameter(Configuration& configuration, std::string_view key, std::string_view value);

// Is the key's value a file or folder? Those must be made absolute first: nbdkit changes its folder.
bool is_path_parameter(std::string_view key);

}  // namespace atelier::nbdkit_plugin
