// Any bytes whatever as an uploaded disk file. The first two bytes say how far the file is stretched with zeros, so
// that a small input can be a large disk.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "image/inspect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace atelier;
  if (size < 2) return 0;
  const std::uint64_t stretch = (std::uint64_t{data[0]} << 8 | data[1]) * 512;
  const std::span<const std::uint8_t> head(data + 2, size - 2);
  std::uint64_t bytes_read = 0;
  const image::DiskBytes disk{head.size() + stretch, [&](std::uint64_t offset, std::span<std::uint8_t> out) -> Status {
                                bytes_read += out.size();
                                for (std::size_t i = 0; i < out.size(); ++i) {
                                  out[i] = offset + i < head.size() ? head[offset + i] : 0;
                                }
                                return {};
                              }};
  const auto format = image::inspect_disk(disk);
  if (format && (format->virtual_bytes == 0 || format->virtual_bytes % 512 != 0)) std::abort();
  // Bounded work: about the file once, tables read in clusters, and the snapshot table in small steps.
  if (bytes_read > 4 * disk.size_bytes + (1U << 20)) std::abort();
  return 0;
}
