// The bytes of an uploaded disk: one sparse file each, and the ranges of it that a client was told are safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "api/context.h"
#include "base/error.h"
#include "base/json.h"
#include "db/resources.h"

namespace atelier::api {

// Bytes first to last, both included.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  std::uint64_t size() const { return last - first + 1; }
  auto operator<=>(const ByteRange&) const = default;
};

// "bytes=512-1023". kInvalidArgument for anything else.
Result<ByteRange> parse_byte_range(std::string_view header);

// Sorted, without overlaps; neighbours are one. kTooLarge above ranges_max: send larger or neighbouring pieces.
inline constexpr std::size_t kUploadRangesMax = 10'000;
Result<std::vector<ByteRange>> with_range(std::vector<ByteRange> ranges, ByteRange added,
                                          std::size_t ranges_max = kUploadRangesMax);

// From and to a disk row's internal object.
std::vector<ByteRange> ranges_of(const db::Resource& disk);
void keep_ranges(db::Resource& disk, const std::vector<ByteRange>& ranges);

// The disk's file; its name is in the row's internal object.
std::filesystem::path upload_file(const Context& context, const db::Resource& disk);
// Makes the file with the disk's full size, all holes, durable, unless it is there.
Status ensure_upload_file(const Context& context, const db::Resource& disk);
// Ok when there is none.
Status remove_upload_file(const Context& context, const db::Resource& disk);

}  // namespace atelier::api
