// Which bytes of a disk file have to be sent: not its holes, not its zeros, not what the service has already.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace atelier::cli {

// From `begin` up to, and without, `end`.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  std::uint64_t size() const { return end - begin; }
  bool operator==(const ByteRange&) const = default;
};

// The non-zero parts of the open file within `window`, to 64 KiB; parts less than 1 MiB apart are one. Reads the file:
// keep the window to some MiB.
Result<std::vector<ByteRange>> data_ranges(int descriptor, ByteRange window);
// The first data at or behind `offset`, as far as the file system knows of holes; `size` when there is none.
std::uint64_t next_data(int descriptor, std::uint64_t offset, std::uint64_t size);

// `ranges` without what lies in `known`; both sorted.
std::vector<ByteRange> without(const std::vector<ByteRange>& ranges, const std::vector<ByteRange>& known);

// The ranges of a page list: <PageRange><Start>0</Start><End>511</End></PageRange>…, both included there.
Result<std::vector<ByteRange>> parse_page_list(std::string_view xml);

}  // namespace atelier::cli
