#include "image/capture.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "image/geometry.h"
#include "image/image_writer.h"
#include "image/nbd_source.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

// Extents are asked for, and reads planned, for so many segments at once: then the wait between two plans is small.
constexpr std::size_t kSegmentsPlannedAtOnce = 16;

std::uint64_t segment_offset(std::size_t index) { return index * kSegmentBytes; }

// What a segment of the disk can be taken from, without reading it.
class Parent {
 public:
  static Result<Parent> find(Store& store, const std::optional<Digest>& root, const NbdSource& source) {
    Parent parent(store);
    if (!root || !source.knows_origin()) return parent;
    auto segments = segments_of(store, *root);
    if (!segments) {
      log::warning("capture: image {} cannot be built on, the whole disk is read: {}", root->hex(),
                   segments.error().message());
      return parent;
    }
    const Root tree = TRY(read_root(store, *root));
    parent.disk_bytes_ = tree.disk_bytes;
    parent.segments_ = std::move(*segments);
    return parent;
  }

  // The parent's segment at this place, if it covers as much of the disk and the store has it whole.
  Result<std::optional<Digest>> segment(std::size_t index, std::uint64_t bytes) const {
    if (index >= segments_.size() || segment_bytes(disk_bytes_, index) != bytes) return std::nullopt;
    const bool is_whole = TRY(store_->has_whole_segment(segments_[index]));
    if (!is_whole) return std::nullopt;
    return segments_[index];
  }
  bool is_empty() const { return segments_.empty(); }

 private:
  explicit Parent(Store& store) : store_(&store) {}

  Store* store_;
  std::uint64_t disk_bytes_ = 0;
  std::vector<Digest> segments_;
};

// Carries one capture: plans some segments, reads their data, and gives the writer holes, data and known segments in
// disk order.
class Capture {
 public:
  Capture(NbdSource& source, const Parent& parent, ImageWriter& writer, TaskContext& task)
      : source_(source), parent_(parent), writer_(writer), task_(task) {}

  Status run() {
    const std::size_t count = segment_count(source_.disk_bytes());
    for (std::size_t first = 0; first < count; first += kSegmentsPlannedAtOnce) {
      const std::size_t end = std::min(count, first + kSegmentsPlannedAtOnce);
      known_.clear();
      ranges_.clear();
      for (std::size_t index = first; index < end; ++index) TRY(plan(index));
      TRY(source_.read(
          ranges_, [this](std::uint64_t offset, std::span<const std::byte> bytes) { return take(offset, bytes); },
          task_));
      TRY(pass_to(std::min(segment_offset(end), source_.disk_bytes())));
      report();
    }
    return {};
  }

  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  struct KnownSegment {
    std::size_t index;
    Digest digest;
  };

  Status plan(std::size_t index) {
    TRY(task_.check());
    const std::uint64_t offset = segment_offset(index);
    const std::uint64_t bytes = segment_bytes(source_.disk_bytes(), index);
    const auto extents = TRY(source_.extents({offset, bytes}, task_));
    const bool is_unchanged = !parent_.is_empty() && std::ranges::none_of(extents, [](const SourceExtent& extent) {
      return extent.origin == SourceExtent::Origin::kLocal;
    });
    if (is_unchanged) {
      if (const auto digest = TRY(parent_.segment(index, bytes)); digest) {
        known_.push_back({index, *digest});
        return {};
      }
    }
    for (const SourceExtent& extent : extents) {
      if (extent.content == SourceExtent::Content::kZero) continue;
      if (!ranges_.empty() && ranges_.back().offset + ranges_.back().bytes == extent.offset) {
        ranges_.back().bytes += extent.bytes;
      } else {
        ranges_.push_back({extent.offset, extent.bytes});
      }
    }
    return {};
  }

  Status take(std::uint64_t offset, std::span<const std::byte> bytes) {
    TRY(pass_to(offset));
    TRY(writer_.append_data(bytes));
    bytes_read_ += bytes.size();
    report();
    return {};
  }

  // Everything between the writer's position and `offset` is a known segment or a hole.
  Status pass_to(std::uint64_t offset) {
    for (const KnownSegment& known : known_) {
      const std::uint64_t start = segment_offset(known.index);
      if (start < writer_.position()) continue;
      if (start >= offset) break;
      if (start > writer_.position()) TRY(writer_.append_hole(start - writer_.position()));
      TRY(writer_.append_known_segment(known.index, known.digest));
      TRY(task_.check());
    }
    CHECK(writer_.position() <= offset);
    if (writer_.position() < offset) TRY(writer_.append_hole(offset - writer_.position()));
    return {};
  }

  void report() const {
    Progress progress = writer_.counts();
    progress.phase = "Reading";
    progress.bytes_total = source_.disk_bytes();
    task_.report(progress);
  }

  NbdSource& source_;
  const Parent& parent_;
  ImageWriter& writer_;
  TaskContext& task_;
  std::vector<KnownSegment> known_;
  std::vector<SourceRange> ranges_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace

Result<CaptureResult> capture_disk(Store& store, const CaptureOptions& options, TaskContext& task) {
  const auto source = TRY(NbdSource::open(
      {.uri = options.nbd_uri, .connections = options.connections, .requests_in_flight = options.requests_in_flight},
      task));
  const Parent parent = TRY(Parent::find(store, options.parent, *source));
  const auto writer =
      TRY(ImageWriter::begin(store, source->disk_bytes(), {.label = options.label, .threads = options.threads}));
  Capture capture(*source, parent, *writer, task);
  TRY(capture.run());
  ImageRecord record = TRY(writer->finish(task));
  return CaptureResult{std::move(record), capture.bytes_read()};
}

}  // namespace atelier::image
