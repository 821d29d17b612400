#include "image/image_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "image/geometry.h"
#include "image/image_record.h"
#include "image/lru_cache.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

// A segment with the place of each stretch, for search.
struct PlacedSegment {
  std::vector<SegmentEntry> entries;
  std::vector<std::uint32_t> starts;

  // The stretch that holds `offset`.
  std::size_t at(std::uint64_t offset) const {
    const auto after = std::ranges::upper_bound(starts, offset);
    return static_cast<std::size_t>(after - starts.begin()) - 1;
  }
};
using Bytes = std::vector<std::byte>;

void add_extent(std::vector<Extent>& extents, const Extent& extent) {
  if (!extents.empty() && extents.back().kind == extent.kind) {
    extents.back().bytes += extent.bytes;
  } else {
    extents.push_back(extent);
  }
}

}  // namespace

class ImageReader::Impl {
 public:
  Impl(Store& store, Root root, const ReadOptions& options)
      : store_(store), root_(std::move(root)), chunks_(options.chunk_cache_bytes), segments_(options.segments_cached) {}

  std::uint64_t disk_bytes() const { return root_.disk_bytes; }
  Status read(std::uint64_t offset, std::span<std::byte> into);
  Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t bytes, std::size_t count_max);

 private:
  Status check_range(std::uint64_t offset, std::uint64_t bytes) const;
  // nullptr for a segment that is one hole.
  Result<std::shared_ptr<const PlacedSegment>> segment(std::size_t index);
  Result<std::shared_ptr<const Bytes>> chunk(const Digest& id);
  Status read_in_segment(std::size_t index, std::uint64_t offset, std::span<std::byte> into);

  Store& store_;
  const Root root_;
  LruCache<Bytes> chunks_;
  LruCache<PlacedSegment> segments_;
};

Status ImageReader::Impl::check_range(std::uint64_t offset, std::uint64_t bytes) const {
  if (offset > root_.disk_bytes || bytes > root_.disk_bytes - offset) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} bytes at {} reach beyond the disk's end at {}.", bytes, offset, root_.disk_bytes));
  }
  return {};
}

Result<std::shared_ptr<const PlacedSegment>> ImageReader::Impl::segment(std::size_t index) {
  const Digest& id = root_.segments[index];
  if (id.is_zero()) return std::shared_ptr<const PlacedSegment>();
  if (auto cached = segments_.find(id)) return cached;
  Segment decoded = TRY(read_segment(store_, id, segment_bytes(root_.disk_bytes, index)));
  auto placed = std::make_shared<PlacedSegment>();
  placed->entries = std::move(decoded.entries);
  std::uint32_t start = 0;
  for (const SegmentEntry& entry : placed->entries) {
    placed->starts.push_back(start);
    start += entry.bytes;
  }
  segments_.insert(id, placed, 1);
  return std::shared_ptr<const PlacedSegment>(std::move(placed));
}

Result<std::shared_ptr<const Bytes>> ImageReader::Impl::chunk(const Digest& id) {
  if (auto cached = chunks_.find(id)) return cached;
  auto bytes = std::make_shared<const Bytes>(TRY(store_.read_chunk(id)));
  chunks_.insert(id, bytes, bytes->size());
  return bytes;
}

// `offset` is within the segment, and so is what `into` asks for.
Status ImageReader::Impl::read_in_segment(std::size_t index, std::uint64_t offset, std::span<std::byte> into) {
  const auto placed = TRY(segment(index));
  if (placed == nullptr) {
    std::memset(into.data(), 0, into.size());
    return {};
  }
  for (std::size_t i = placed->at(offset); !into.empty(); ++i) {
    CHECK(i < placed->entries.size());
    const SegmentEntry& entry = placed->entries[i];
    const std::size_t skip = static_cast<std::size_t>(offset) - placed->starts[i];
    const std::size_t count = std::min(into.size(), entry.bytes - skip);
    if (entry.is_hole()) {
      std::memset(into.data(), 0, count);
    } else {
      const auto bytes = TRY(chunk(entry.chunk));
      if (bytes->size() != entry.bytes) {
        return fail(Code::kDataLoss,
                    fmt::format("Chunk {} has another length than its segment says.", entry.chunk.hex()));
      }
      std::memcpy(into.data(), bytes->data() + skip, count);
    }
    into = into.subspan(count);
    offset += count;
  }
  return {};
}

Status ImageReader::Impl::read(std::uint64_t offset, std::span<std::byte> into) {
  TRY(check_range(offset, into.size()));
  while (!into.empty()) {
    const std::uint64_t inside = offset % kSegmentBytes;
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), kSegmentBytes - inside));
    TRY(read_in_segment(static_cast<std::size_t>(offset / kSegmentBytes), inside, into.first(count)));
    into = into.subspan(count);
    offset += count;
  }
  return {};
}

Result<std::vector<Extent>> ImageReader::Impl::extents(std::uint64_t offset, std::uint64_t bytes,
                                                       std::size_t count_max) {
  TRY(check_range(offset, bytes));
  if (count_max == 0) return fail(Code::kInvalidArgument, "At least one extent must be asked for.");
  const std::uint64_t end = offset + bytes;
  std::vector<Extent> found;
  while (offset < end) {
    const auto index = static_cast<std::size_t>(offset / kSegmentBytes);
    const std::uint64_t base = index * kSegmentBytes;
    const std::uint64_t segment_end = std::min(end, base + segment_bytes(root_.disk_bytes, index));
    const auto placed = TRY(segment(index));
    if (placed == nullptr) {
      add_extent(found, {Extent::Kind::kHole, offset, segment_end - offset});
      offset = segment_end;
    } else {
      for (std::size_t i = placed->at(offset - base); offset < segment_end && found.size() <= count_max; ++i) {
        const SegmentEntry& entry = placed->entries[i];
        const std::uint64_t stop = std::min(segment_end, base + placed->starts[i] + entry.bytes);
        add_extent(found, {entry.is_hole() ? Extent::Kind::kHole : Extent::Kind::kData, offset, stop - offset});
        offset = stop;
      }
    }
    if (found.size() > count_max) {
      found.resize(count_max);
      break;
    }
  }
  return found;
}

Result<std::unique_ptr<ImageReader>> ImageReader::open(Store& store, const Digest& root, const ReadOptions& options) {
  const auto record = TRY(find_image(store, root));
  if (!record) return fail(Code::kNotFound, fmt::format("The store has no image {}.", root.hex()));
  Root tree = TRY(read_root(store, root));
  return std::unique_ptr<ImageReader>(new ImageReader(std::make_unique<Impl>(store, std::move(tree), options)));
}

ImageReader::ImageReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ImageReader::~ImageReader() = default;

std::uint64_t ImageReader::disk_bytes() const { return impl_->disk_bytes(); }
Status ImageReader::read(std::uint64_t offset, std::span<std::byte> into) { return impl_->read(offset, into); }
Result<std::vector<Extent>> ImageReader::extents(std::uint64_t offset, std::uint64_t bytes, std::size_t count_max) {
  return impl_->extents(offset, bytes, count_max);
}

}  // namespace atelier::image
