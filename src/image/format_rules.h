// What the checks of all disk formats share: how they refuse, and how they read tables.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "image/inspect.h"

namespace atelier::image {

// kInvalidArgument; `why` is a sentence about "it", the file.
std::unexpected<Error> refuse_file(std::string_view format_name, std::string_view why);

// A guest's disk: some sectors, and no more than the options allow (kTooLarge).
Status check_virtual_bytes(std::string_view format_name, std::uint64_t virtual_bytes, const InspectOptions& options);

// Hands a table of fixed-size entries to `sink` in pieces of whole entries, so that memory stays bounded. The table's
// length is a multiple of `entry_bytes`; `what` names it where the file ends too early.
struct TablePlace {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::size_t entry_bytes = 4;
  std::string_view what;
};
Status read_table(const DiskBytes& bytes, const TablePlace& place,
                  const std::function<Status(std::span<const std::uint8_t>)>& sink);

bool is_power_of_two(std::uint64_t value);
bool is_all_zero(std::span<const std::uint8_t> bytes);

}  // namespace atelier::image
