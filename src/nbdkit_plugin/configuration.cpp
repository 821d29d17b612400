#include "nbdkit_plugin/configuration.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

#include "base/text.h"

namespace atelier::nbdkit_plugin {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

struct Bounds {
  std::string_view what;
  std::uint64_t least = 1;
  std::uint64_t most = 65536;
};

Result<std::uint64_t> number(std::string_view key, std::string_view value, const Bounds& bounds) {
  const auto parsed = parse_uint64(value);
  if (parsed && *parsed >= bounds.least && *parsed <= bounds.most) return *parsed;
  return fail(Code::kInvalidArgument,
              fmt::format("{}={}: give {}, {} to {}", key, value, bounds.what, bounds.least, bounds.most));
}

Result<bool> on_or_off(std::string_view key, std::string_view value) {
  if (value == "on" || value == "off") return value == "on";
  return fail(Code::kInvalidArgument, fmt::format("{}={}: give on or off", key, value));
}

image::DiskCacheOptions& cache_of(ServeOptions& serve) {
  if (!serve.chunks.cache) serve.chunks.cache.emplace();
  return *serve.chunks.cache;
}

}  // namespace

bool is_path_parameter(std::string_view key) {
  constexpr std::array<std::string_view, 4> kPaths = {"store", "heal-from", "cache-file", "stats"};
  return std::ranges::find(kPaths, key) != kPaths.end();
}

Status set_parameter(Configuration& configuration, std::string_view key, std::string_view value) {
  ServeOptions& serve = configuration.serve;
  const auto mebibytes = [&](std::string_view what, std::uint64_t least, std::uint64_t most) -> Result<std::uint64_t> {
    return TRY(number(key, value, {what, least, most}))
    *kMiB;
  };
  if (key == "store") {
    configuration.store_folder = value;
  } else if (key == "heal-from") {
    if (serve.chunks.heal_from.size() >= 64) return fail(Code::kInvalidArgument, "heal-from: at most 64 are taken");
    serve.chunks.heal_from.emplace_back(value);
  } else if (key == "memory-mib") {
    serve.chunks.memory_bytes =
        static_cast<std::size_t>(TRY(mebibytes("the MiB of decoded data kept in memory", 1, 65536)));
  } else if (key == "cache-file") {
    cache_of(serve).file = value;
  } else if (key == "cache-mib") {
    cache_of(serve).bytes_max = TRY(mebibytes("the MiB of the cache file at most", 16, 4u << 20));
  } else if (key == "read-ahead-mib") {
    serve.read_ahead.bytes_max = TRY(mebibytes("the MiB brought ahead of a reader in sequence", 0, 256));
  } else if (key == "trace") {
    serve.uses_traces = TRY(on_or_off(key, value));
  } else if (key == "trace-seconds") {
    serve.trace.duration = std::chrono::seconds(TRY(number(key, value, {"the seconds a boot is recorded", 1, 3600})));
  } else if (key == "hydrate") {
    serve.hydrates = TRY(on_or_off(key, value));
  } else if (key == "hydrate-mib") {
    serve.hydrate_bytes = TRY(mebibytes("the MiB of each image brought at most", 1, 1u << 24));
  } else if (key == "stats") {
    serve.stats_file = value;
  } else {
    return fail(Code::kInvalidArgument, fmt::format("unknown parameter '{}'; nbdkit --help PLUGIN lists them", key));
  }
  return {};
}

}  // namespace atelier::nbdkit_plugin
