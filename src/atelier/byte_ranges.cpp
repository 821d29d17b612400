#include "atelier/byte_ranges.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>

#include "base/text.h"

namespace atelier::cli {
namespace {

constexpr std::uint64_t kBlockBytes = 64 << 10;
constexpr std::uint64_t kGapBytes = 1 << 20;

bool is_zero(std::span<const char> bytes) {
  return bytes.empty() || (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// What stands between two marks, moving `text` behind them.
std::string_view take_between(std::string_view& text, std::string_view open, std::string_view close) {
  const std::size_t begin = text.find(open);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin + open.size());
  const std::size_t end = text.find(close);
  if (end == std::string_view::npos) return {};
  const std::string_view between = text.substr(0, end);
  text.remove_prefix(end + close.size());
  return between;
}

}  // namespace

Result<std::vector<ByteRange>> data_ranges(int descriptor, ByteRange window) {
  std::vector<ByteRange> ranges;
  std::string buffer(static_cast<std::size_t>(window.size()), '\0');
  for (std::size_t done = 0; done < buffer.size();) {
    const ssize_t got =
        ::pread(descriptor, buffer.data() + done, buffer.size() - done, static_cast<off_t>(window.begin + done));
    if (got < 0) return fail(errno_error(errno, "read the disk file"));
    if (got == 0) return fail(Code::kInvalidArgument, "The disk file became shorter while it was read.");
    done += static_cast<std::size_t>(got);
  }
  for (std::uint64_t at = 0; at < window.size(); at += kBlockBytes) {
    const std::uint64_t length = std::min(kBlockBytes, window.size() - at);
    if (is_zero(std::span(buffer).subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(length)))) continue;
    const ByteRange block{window.begin + at, window.begin + at + length};
    if (!ranges.empty() && block.begin - ranges.back().end < kGapBytes) {
      ranges.back().end = block.end;
    } else {
      ranges.push_back(block);
    }
  }
  return ranges;
}

std::uint64_t next_data(int descriptor, std::uint64_t offset, std::uint64_t size) {
  const off_t found = ::lseek(descriptor, static_cast<off_t>(offset), SEEK_DATA);
  if (found < 0) return errno == ENXIO ? size : offset;  // a file system that does not know of holes
  return std::min(size, static_cast<std::uint64_t>(found));
}

std::vector<ByteRange> without(const std::vector<ByteRange>& ranges, const std::vector<ByteRange>& known) {
  std::vector<ByteRange> left;
  for (const ByteRange& range : ranges) {
    std::uint64_t begin = range.begin;
    for (const ByteRange& one : known) {
      if (one.end <= begin || one.begin >= range.end) continue;
      if (one.begin > begin) left.push_back({begin, one.begin});
      begin = one.end;
    }
    if (begin < range.end) left.push_back({begin, range.end});
  }
  return left;
}

Result<std::vector<ByteRange>> parse_page_list(std::string_view xml) {
  std::vector<ByteRange> ranges;
  while (xml.find("<PageRange>") != std::string_view::npos) {
    std::string_view range = take_between(xml, "<PageRange>", "</PageRange>");
    const auto first = parse_uint64(take_between(range, "<Start>", "</Start>"));
    const auto last = parse_uint64(take_between(range, "<End>", "</End>"));
    if (!first || !last || *last < *first) return fail(Code::kUnavailable, "The service's list of pages is damaged.");
    ranges.push_back({*first, *last + 1});
  }
  std::ranges::sort(ranges, {}, &ByteRange::begin);
  return ranges;
}

}  // namespace atelier::cli
