#include "image/recut.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace atelier::image {

GrainMap::GrainMap(std::uint64_t bytes)
    : bytes_(bytes), grains_(static_cast<std::size_t>((bytes + kGrainBytes - 1) / kGrainBytes), Grain::kKept) {
  CHECK(bytes > 0 && bytes <= kSegmentBytes);
}

GrainMap::GrainMap(std::span<const SourceExtent> extents, std::uint64_t start, std::uint64_t bytes,
                   std::uint64_t parent_bytes)
    : GrainMap(bytes) {
  // Where one of the two ends, only whole grains are the same.
  const std::uint64_t kept_end =
      parent_bytes == bytes ? bytes : std::min(parent_bytes, bytes) / kGrainBytes * kGrainBytes;
  for (const SourceExtent& extent : extents) {
    if (extent.offset >= start + bytes) break;
    if (extent.offset + extent.bytes <= start) continue;
    std::uint64_t from = std::max(extent.offset, start) - start;
    const std::uint64_t to = std::min(extent.offset + extent.bytes, start + bytes) - start;
    if (extent.origin == SourceExtent::Origin::kBacking) from = std::clamp(kept_end, from, to);
    if (extent.content == SourceExtent::Content::kZero) {
      mark_zero(from, to - from);
    } else {
      mark_read(from, to - from);
    }
  }
}

void GrainMap::mark_zero(std::uint64_t offset, std::uint64_t bytes) {
  CHECK(offset <= bytes_ && bytes <= bytes_ - offset);
  for (const std::uint64_t end = offset + bytes; offset < end;) {
    const std::uint64_t begin = offset / kGrainBytes * kGrainBytes;
    const std::uint64_t next = std::min(begin + kGrainBytes, bytes_);
    const bool is_whole = offset == begin && next <= end;
    Grain& grain = grains_[static_cast<std::size_t>(begin / kGrainBytes)];
    if (!is_whole) {
      grain = Grain::kRead;
    } else if (grain == Grain::kKept) {
      grain = Grain::kZero;
    }
    offset = next;
  }
}

void GrainMap::mark_read(std::uint64_t offset, std::uint64_t bytes) {
  CHECK(offset <= bytes_ && bytes <= bytes_ - offset);
  if (bytes == 0) return;
  const auto first = static_cast<std::ptrdiff_t>(offset / kGrainBytes);
  const auto last = static_cast<std::ptrdiff_t>((offset + bytes - 1) / kGrainBytes);
  std::fill(grains_.begin() + first, grains_.begin() + last + 1, Grain::kRead);
}

bool GrainMap::is_kept() const {
  return std::ranges::all_of(grains_, [](Grain g) { return g == Grain::kKept; });
}

std::uint64_t GrainMap::run_end(std::uint64_t offset) const {
  const auto first = grains_.begin() + static_cast<std::ptrdiff_t>(offset / kGrainBytes);
  const auto end = std::find_if(first, grains_.end(), [&](Grain grain) { return grain != *first; });
  return std::min(static_cast<std::uint64_t>(end - grains_.begin()) * kGrainBytes, bytes_);
}

Result<std::span<const std::byte>> ParentChunks::read(const Digest& id, std::uint32_t bytes) {
  if (id != id_) {
    bytes_ = TRY(store_.read_chunk(id));
    id_ = id;
  }
  if (bytes_.size() != bytes) {
    return fail(Code::kDataLoss,
                fmt::format("A segment gives chunk {} {} bytes; it has {}.", id.hex(), bytes, bytes_.size()));
  }
  return std::span<const std::byte>(bytes_);
}

void SegmentRecut::for_each_read(const std::function<void(std::uint64_t offset, std::uint64_t bytes)>& visit) const {
  for (std::uint64_t at = 0; at < bytes();) {
    const std::uint64_t end = grains_.run_end(at);
    if (grains_.at(at) == GrainMap::Grain::kRead) visit(at, end - at);
    at = end;
  }
}

Status SegmentRecut::pass_to(std::uint64_t end, ImageWriter& writer, ParentChunks& chunks) {
  CHECK(end <= bytes());
  while (position_ < end) {
    const std::uint64_t run_end = std::min(grains_.run_end(position_), end);
    switch (grains_.at(position_)) {
      case GrainMap::Grain::kZero:
        TRY(writer.append_hole(run_end - position_));
        position_ = run_end;
        break;
      case GrainMap::Grain::kKept:
        TRY(pass_kept(run_end, writer, chunks));
        break;
      case GrainMap::Grain::kRead:
        CHECK(false);
    }
  }
  return {};
}

// Up to `end` all grains are kept.
Status SegmentRecut::pass_kept(std::uint64_t end, ImageWriter& writer, ParentChunks& chunks) {
  while (position_ < end) {
    while (entry_end() <= position_) {
      entry_at_ = entry_end();
      ++entry_;
      CHECK(entry_ < parent_.entries.size());
    }
    const SegmentEntry& entry = parent_.entries[entry_];
    const std::uint64_t here_end = std::min(entry_end(), end);
    if (entry.is_hole()) {
      TRY(writer.append_hole(here_end - position_));
    } else if (position_ == entry_at_ && here_end == entry_end() && writer.at_chunk_boundary() && keeps_its_cut()) {
      TRY(writer.append_known_chunk(entry.chunk, entry.bytes));
    } else {
      const auto chunk = TRY(chunks.read(entry.chunk, entry.bytes));
      TRY(writer.append_data(chunk.subspan(static_cast<std::size_t>(position_ - entry_at_),
                                           static_cast<std::size_t>(here_end - position_))));
    }
    position_ = here_end;
  }
  return {};
}

// Does the parent's chunk at entry_, all of whose bytes are kept, end where it did? What ended it may lie behind it.
bool SegmentRecut::keeps_its_cut() const {
  const std::uint64_t end = entry_end();
  const bool ended_by_itself = parent_.entries[entry_].bytes >= kDataChunkBytesMax ||
                               (entry_ + 1 < parent_.entries.size() && !parent_.entries[entry_ + 1].is_hole());
  if (ended_by_itself || end == bytes()) return true;
  const bool was_hole = entry_ + 1 < parent_.entries.size();
  return grains_.at(end) == GrainMap::Grain::kZero || (was_hole && grains_.at(end) == GrainMap::Grain::kKept);
}

Status SegmentRecut::append_read(std::span<const std::byte> bytes, ImageWriter& writer) {
  TRY(writer.append_data(bytes));
  position_ += bytes.size();
  return {};
}

}  // namespace atelier::image
