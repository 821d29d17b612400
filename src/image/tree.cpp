#include "image/tree.h"

#include <fmt/format.h>

#include "base/check.h"
#include "image/image_record.h"
#include "image/wire.h"

namespace atelier::image {
namespace {

constexpr std::string_view kSegmentMagic = "ATSEG001";
constexpr std::string_view kRootMagic = "ATROOT01";
static_assert(kSegmentMagic.size() == 8 && kRootMagic.size() == 8);
constexpr std::uint32_t kChunkFlag = 1u << 31;

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Code::kDataLoss, fmt::format("The bytes are no {} of format 1.", what));
}

}  // namespace

void Segment::add_hole(std::uint32_t hole_bytes) {
  if (hole_bytes == 0) return;
  if (!entries.empty() && entries.back().is_hole()) {
    entries.back().bytes += hole_bytes;
  } else {
    entries.push_back({hole_bytes, {}});
  }
}

void Segment::add_chunk(const Digest& chunk, std::uint32_t chunk_bytes) {
  CHECK(chunk_bytes > 0 && !chunk.is_zero());
  entries.push_back({chunk_bytes, chunk});
}

std::uint64_t Segment::bytes() const {
  std::uint64_t sum = 0;
  for (const SegmentEntry& entry : entries) sum += entry.bytes;
  return sum;
}

std::uint64_t Segment::data_bytes() const {
  std::uint64_t sum = 0;
  for (const SegmentEntry& entry : entries) sum += entry.is_hole() ? 0 : entry.bytes;
  return sum;
}

std::vector<std::byte> encode_segment(const Segment& segment) {
  std::vector<std::byte> bytes;
  bytes.reserve(16 + segment.entries.size() * 36);
  put_text(bytes, kSegmentMagic);
  put_number(bytes, static_cast<std::uint32_t>(segment.entries.size()));
  for (const SegmentEntry& entry : segment.entries) {
    put_number(bytes, entry.is_hole() ? entry.bytes : entry.bytes | kChunkFlag);
    if (!entry.is_hole()) put_digest(bytes, entry.chunk);
  }
  return bytes;
}

Result<Segment> decode_segment(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  if (!reader.text(kSegmentMagic)) return damaged("segment");
  const auto count = reader.number<std::uint32_t>();
  if (count > kSegmentBytes / kGrainBytes) return damaged("segment");
  Segment segment;
  segment.entries.reserve(count);
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    const auto word = reader.number<std::uint32_t>();
    const std::uint32_t length = word & ~kChunkFlag;
    const bool is_chunk = (word & kChunkFlag) != 0;
    const Digest chunk = is_chunk ? reader.digest() : Digest{};
    sum += length;
    const bool after_hole = !segment.entries.empty() && segment.entries.back().is_hole();
    // One encoding per segment: no empty stretch, no two holes in a row, no chunk that looks like a hole.
    const bool legal = length > 0 && (is_chunk ? length <= kDataChunkBytesMax && !chunk.is_zero() : !after_hole);
    if (!reader.ok() || !legal || sum > kSegmentBytes) return damaged("segment");
    segment.entries.push_back({length, chunk});
  }
  if (!reader.ok() || reader.left() != 0) return damaged("segment");
  return segment;
}

std::vector<std::byte> encode_root(const Root& root) {
  CHECK(root.segments.size() == segment_count(root.disk_bytes));
  std::vector<std::byte> bytes;
  bytes.reserve(16 + root.segments.size() * 32);
  put_text(bytes, kRootMagic);
  put_number(bytes, root.disk_bytes);
  for (const Digest& segment : root.segments) put_digest(bytes, segment);
  return bytes;
}

Result<Root> decode_root(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  Root root;
  const bool magic = reader.text(kRootMagic);
  root.disk_bytes = reader.number<std::uint64_t>();
  if (!magic || !reader.ok() || root.disk_bytes == 0 || root.disk_bytes > kDiskBytesMax ||
      reader.left() != segment_count(root.disk_bytes) * sizeof(Digest::bytes)) {
    return damaged("root");
  }
  root.segments.resize(segment_count(root.disk_bytes));
  for (Digest& segment : root.segments) segment = reader.digest();
  return root;
}

Result<Root> read_root(Store& store, const Digest& root) {
  const auto bytes = TRY_DURING(store.read_chunk(root), fmt::format("read the root {}", root.hex()));
  return TRY_DURING(decode_root(bytes), fmt::format("read the root {}", root.hex()));
}

Result<Segment> read_segment(Store& store, const Digest& segment, std::uint64_t bytes) {
  CHECK(bytes > 0 && bytes <= kSegmentBytes);
  if (segment.is_zero()) {
    Segment hole;
    hole.add_hole(static_cast<std::uint32_t>(bytes));
    return hole;
  }
  const std::string doing = fmt::format("read the segment {}", segment.hex());
  const auto encoded = TRY_DURING(store.read_chunk(segment), doing);
  Segment decoded = TRY_DURING(decode_segment(encoded), doing);
  if (decoded.bytes() != bytes) {
    return fail(Code::kDataLoss,
                fmt::format("{}: it covers {} bytes of disk instead of {}.", doing, decoded.bytes(), bytes));
  }
  return decoded;
}

Result<std::vector<Digest>> segments_of(Store& store, const Digest& root) {
  const auto record = TRY(find_image(store, root));
  if (!record) return fail(Code::kNotFound, fmt::format("The store has no image {}.", root.hex()));
  return TRY(read_root(store, root))
  .segments;
}

}  // namespace atelier::image
