#include "image/format_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace atelier::image {

std::unexpected<Error> refuse_file(std::string_view format_name, std::string_view why) {
  return fail(Code::kInvalidArgument, fmt::format("The {} file is refused: {}", format_name, why));
}

Status check_virtual_bytes(std::string_view format_name, std::uint64_t virtual_bytes, const InspectOptions& options) {
  if (virtual_bytes == 0) return refuse_file(format_name, "its disk has no bytes.");
  if (virtual_bytes > options.virtual_bytes_max) {
    return fail(Code::kTooLarge, fmt::format("The {} file's disk has {}; at most {} are taken.", format_name,
                                             to_human_bytes(virtual_bytes), to_human_bytes(options.virtual_bytes_max)));
  }
  if (virtual_bytes % 512 != 0) return refuse_file(format_name, "its disk size is not a multiple of 512 bytes.");
  return {};
}

Status read_table(const DiskBytes& bytes, const TablePlace& place,
                  const std::function<Status(std::span<const std::uint8_t>)>& sink) {
  constexpr std::uint64_t kBytesAtOnce = 64U << 10;
  const std::uint64_t piece = std::max<std::uint64_t>(1, kBytesAtOnce / place.entry_bytes) * place.entry_bytes;
  std::vector<std::uint8_t> buffer;
  for (std::uint64_t done = 0; done < place.length; done += buffer.size()) {
    buffer.resize(std::min(piece, place.length - done));
    TRY(bytes.read(place.offset + done, buffer, place.what));
    TRY(sink(buffer));
  }
  return {};
}

bool is_power_of_two(std::uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

bool is_all_zero(std::span<const std::uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace atelier::image
