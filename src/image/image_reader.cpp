#include "image/image_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/log.h"
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

// Chunks asked for together: what one request of a guest's needs, and not a whole disk.
constexpr std::size_t kChunksAtOnce = 256;
constexpr std::size_t kBytesAtOnce = 4u << 20;

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
  Impl(ChunkSource& source, const Digest& id, Root root, const ReadOptions& options,
       std::unique_ptr<ChunkSource> own_source)
      : own_source_(std::move(own_source)),
        source_(source),
        id_(id),
        root_(std::move(root)),
        segments_(options.segments_cached) {}

  std::uint64_t disk_bytes() const { return root_.disk_bytes; }
  Status read(std::uint64_t offset, std::span<std::byte> into);
  Status prefetch(std::span<const DiskRange> ranges, ChunkSource::Keep keep);
  Result<std::vector<Extent>> extents(std::uint64_t offset, std::uint64_t bytes, std::size_t count_max);

 private:
  // A piece of a chunk, and where in what is being read it belongs.
  struct Piece {
    std::uint64_t offset = 0;  // on the disk
    std::uint32_t chunk_bytes = 0;
    std::size_t skip = 0;
    std::span<std::byte> into;
  };

  Status check_range(std::uint64_t offset, std::uint64_t bytes) const;
  // nullptr for a segment that is one hole.
  Result<std::shared_ptr<const PlacedSegment>> segment(std::size_t index);
  Status read_in_segment(std::size_t index, std::uint64_t offset, std::span<std::byte> into);
  Status fill(std::vector<Digest>& ids, std::vector<Piece>& pieces);
  void note(const FetchedChunk& fetched, const Digest& chunk, std::uint64_t offset) const;
  Status add_chunks(const DiskRange& range, std::vector<Digest>& ids);

  const std::unique_ptr<ChunkSource> own_source_;  // none when many readers share one
  ChunkSource& source_;
  const Digest id_;
  const Root root_;
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
  const std::string doing = fmt::format("read the segment {}", id.hex());
  const FetchedChunk fetched = TRY_DURING(source_.fetch(id), doing);
  note(fetched, id, index * kSegmentBytes);
  Segment decoded = TRY_DURING(decode_segment(*fetched.bytes), doing);
  const std::uint64_t bytes = segment_bytes(root_.disk_bytes, index);
  if (decoded.bytes() != bytes) {
    return fail(Code::kDataLoss,
                fmt::format("{}: it covers {} bytes of disk instead of {}.", doing, decoded.bytes(), bytes));
  }
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

void ImageReader::Impl::note(const FetchedChunk& fetched, const Digest& chunk, std::uint64_t offset) const {
  if (!fetched.was_healed) return;
  log::warning("image {} at offset {}: its store has lost chunk {}; another region's copy is served", id_.hex(), offset,
               chunk.hex());
}

// Fetches the chunks of these pieces and copies them in; empties both lists.
Status ImageReader::Impl::fill(std::vector<Digest>& ids, std::vector<Piece>& pieces) {
  const auto chunks = TRY(source_.fetch(ids));
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    const auto& bytes = *chunks[i].bytes;
    if (bytes.size() != piece.chunk_bytes) {
      return fail(Code::kDataLoss, fmt::format("Chunk {} has another length than its segment says.", ids[i].hex()));
    }
    note(chunks[i], ids[i], piece.offset);
    std::memcpy(piece.into.data(), bytes.data() + piece.skip, piece.into.size());
  }
  ids.clear();
  pieces.clear();
  return {};
}

// `offset` is within the segment, and so is what `into` asks for.
Status ImageReader::Impl::read_in_segment(std::size_t index, std::uint64_t offset, std::span<std::byte> into) {
  const auto placed = TRY(segment(index));
  if (placed == nullptr) {
    std::memset(into.data(), 0, into.size());
    return {};
  }
  std::vector<Digest> ids;
  std::vector<Piece> pieces;
  std::size_t pending_bytes = 0;
  for (std::size_t i = placed->at(offset); !into.empty(); ++i) {
    CHECK(i < placed->entries.size());
    const SegmentEntry& entry = placed->entries[i];
    const std::size_t skip = static_cast<std::size_t>(offset) - placed->starts[i];
    const std::size_t count = std::min(into.size(), entry.bytes - skip);
    if (entry.is_hole()) {
      std::memset(into.data(), 0, count);
    } else {
      ids.push_back(entry.chunk);
      pieces.push_back({index * kSegmentBytes + offset, entry.bytes, skip, into.first(count)});
      pending_bytes += entry.bytes;
    }
    into = into.subspan(count);
    offset += count;
    if (ids.size() >= kChunksAtOnce || pending_bytes >= kBytesAtOnce || (into.empty() && !ids.empty())) {
      TRY(fill(ids, pieces));
      pending_bytes = 0;
    }
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

// Appends the chunks that hold bytes of this stretch.
Status ImageReader::Impl::add_chunks(const DiskRange& range, std::vector<Digest>& ids) {
  TRY(check_range(range.offset, range.bytes));
  const std::uint64_t end = range.offset + range.bytes;
  for (std::uint64_t offset = range.offset; offset < end;) {
    const auto index = static_cast<std::size_t>(offset / kSegmentBytes);
    const std::uint64_t base = index * kSegmentBytes;
    const auto placed = TRY(segment(index));
    if (placed == nullptr) {
      offset = base + kSegmentBytes;
      continue;
    }
    for (std::size_t i = placed->at(offset - base); offset < end && i < placed->entries.size(); ++i) {
      const SegmentEntry& entry = placed->entries[i];
      if (!entry.is_hole()) ids.push_back(entry.chunk);
      offset = base + placed->starts[i] + entry.bytes;
    }
  }
  return {};
}

Status ImageReader::Impl::prefetch(std::span<const DiskRange> ranges, ChunkSource::Keep keep) {
  std::vector<Digest> ids;
  for (const DiskRange& range : ranges) TRY(add_chunks(range, ids));
  if (keep == ChunkSource::Keep::kInCacheFile) {
    std::erase_if(ids, [&](const Digest& id) { return source_.is_in_cache_file(id); });
  }
  for (std::size_t at = 0; at < ids.size(); at += kChunksAtOnce) {
    TRY(source_.fetch(std::span(ids).subspan(at, std::min(kChunksAtOnce, ids.size() - at)), keep));
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

namespace {

Result<Root> fetch_root(ChunkSource& source, const Digest& root) {
  const auto record = TRY(find_image(source.store(), root));
  if (!record) return fail(Code::kNotFound, fmt::format("The store has no image {}.", root.hex()));
  const std::string doing = fmt::format("read the root {}", root.hex());
  const FetchedChunk fetched = TRY_DURING(source.fetch(root), doing);
  return TRY_DURING(decode_root(*fetched.bytes), doing);
}

}  // namespace

Result<std::unique_ptr<ImageReader>> ImageReader::open(Store& store, const Digest& root, const ReadOptions& options) {
  auto source = std::make_unique<ChunkSource>(
      store, ChunkSourceOptions{.memory_bytes = options.chunk_cache_bytes, .cache = {}, .heal_from = {}, .threads = 0});
  Root tree = TRY(fetch_root(*source, root));
  ChunkSource& chunks = *source;
  return std::unique_ptr<ImageReader>(
      new ImageReader(std::make_unique<Impl>(chunks, root, std::move(tree), options, std::move(source))));
}

Result<std::unique_ptr<ImageReader>> ImageReader::open(ChunkSource& source, const Digest& root,
                                                       const ReadOptions& options) {
  Root tree = TRY(fetch_root(source, root));
  return std::unique_ptr<ImageReader>(
      new ImageReader(std::make_unique<Impl>(source, root, std::move(tree), options, nullptr)));
}

ImageReader::ImageReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ImageReader::~ImageReader() = default;

std::uint64_t ImageReader::disk_bytes() const { return impl_->disk_bytes(); }
Status ImageReader::read(std::uint64_t offset, std::span<std::byte> into) { return impl_->read(offset, into); }
Status ImageReader::prefetch(std::span<const DiskRange> ranges, ChunkSource::Keep keep) {
  return impl_->prefetch(ranges, keep);
}
Result<std::vector<Extent>> ImageReader::extents(std::uint64_t offset, std::uint64_t bytes, std::size_t count_max) {
  return impl_->extents(offset, bytes, count_max);
}

}  // namespace atelier::image
