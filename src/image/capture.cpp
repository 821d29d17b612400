#include "image/capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "image/geometry.h"
#include "image/image_writer.h"
#include "image/nbd_source.h"
#include "image/recut.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

// Extents are asked for, and reads planned, for so many segments at once: then the wait between two plans is small.
constexpr std::size_t kSegmentsPlannedAtOnce = 32;

std::uint64_t segment_offset(std::size_t index) { return index * kSegmentBytes; }

// What a segment of the disk can be taken from, without reading it.
class Parent {
 public:
  static Result<Parent> find(Store& store, const std::optional<Digest>& root) {
    Parent parent(store);
    if (!root) return parent;
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

  // The parent's segment at this place, if there is one and the store has it whole.
  Result<std::optional<Digest>> segment(std::size_t index) const {
    if (index >= segments_.size()) return std::nullopt;
    const bool is_whole = TRY(store_->has_whole_segment(segments_[index]));
    if (!is_whole) return std::nullopt;
    return segments_[index];
  }
  std::uint64_t bytes_of(std::size_t index) const { return segment_bytes(disk_bytes_, index); }

 private:
  explicit Parent(Store& store) : store_(&store) {}

  Store* store_;
  std::uint64_t disk_bytes_ = 0;
  std::vector<Digest> segments_;
};

// Carries one capture: plans some segments, reads their data, and gives the writer holes, data and what is known in
// disk order.
class Capture {
 public:
  // `changes`: describes the topmost layer; null = `source` does.
  Capture(Store& store, NbdSource& source, NbdSource* changes, const Parent& parent, ImageWriter& writer,
          TaskContext& task)
      : store_(store),
        source_(source),
        changes_(changes),
        parent_(parent),
        writer_(writer),
        task_(task),
        chunks_(store) {}

  Status run() {
    const std::size_t count = segment_count(source_.disk_bytes());
    for (std::size_t first = 0; first < count; first += kSegmentsPlannedAtOnce) {
      const std::size_t end = std::min(count, first + kSegmentsPlannedAtOnce);
      TRY(plan(first, end));
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
  // A segment whose bytes are still to be given to the writer.
  struct Planned {
    std::size_t index = 0;
    std::optional<Digest> known;  // taken over whole
    std::optional<SegmentRecut> recut;
  };

  Status plan(std::size_t first, std::size_t end) {
    const std::uint64_t offset = segment_offset(first);
    const std::uint64_t window_end = std::min(segment_offset(end), source_.disk_bytes());
    NbdSource& described_by = changes_ != nullptr ? *changes_ : source_;
    const auto extents = TRY(described_by.extents({offset, window_end - offset}, task_));
    ranges_.clear();
    std::span<const SourceExtent> left = extents;
    for (std::size_t index = first; index < end; ++index) {
      TRY(task_.check());
      TRY(plan_segment(index, left));
    }
    return {};
  }

  // `extents`: of this and the next segments; those before it are dropped.
  Status plan_segment(std::size_t index, std::span<const SourceExtent>& extents) {
    const std::uint64_t start = segment_offset(index);
    const std::uint64_t bytes = segment_bytes(source_.disk_bytes(), index);
    const auto parent = TRY(parent_.segment(index));
    const std::uint64_t parent_bytes = parent ? parent_.bytes_of(index) : 0;
    while (extents.front().offset + extents.front().bytes <= start) extents = extents.subspan(1);
    std::vector<SourceExtent> whole_disk;
    if (!parent && changes_ != nullptr) whole_disk = TRY(source_.extents({start, bytes}, task_));
    GrainMap grains(whole_disk.empty() ? extents : std::span<const SourceExtent>(whole_disk), start, bytes,
                    parent_bytes);
    if (parent_bytes == bytes && grains.is_kept()) {
      planned_.push_back({.index = index, .known = parent, .recut = {}});
      return {};
    }
    Segment cuts;
    if (parent) cuts = TRY(read_segment(store_, *parent, parent_bytes));
    planned_.push_back({.index = index, .known = {}, .recut = SegmentRecut(std::move(cuts), std::move(grains))});
    planned_.back().recut->for_each_read([&](std::uint64_t at, std::uint64_t count) {
      if (!ranges_.empty() && ranges_.back().offset + ranges_.back().bytes == start + at) {
        ranges_.back().bytes += count;
      } else {
        ranges_.push_back({start + at, count});
      }
    });
    return {};
  }

  // Bytes that were read; they may reach over segments' ends.
  Status take(std::uint64_t offset, std::span<const std::byte> bytes) {
    bytes_read_ += bytes.size();
    while (!bytes.empty()) {
      TRY(pass_to(offset));
      SegmentRecut& recut = *planned_.front().recut;
      const auto here = bytes.first(
          static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), recut.bytes() - recut.position())));
      TRY(recut.append_read(here, writer_));
      end_segment();
      offset += here.size();
      bytes = bytes.subspan(here.size());
    }
    report();
    return {};
  }

  // Up to `offset` all is known.
  Status pass_to(std::uint64_t offset) {
    while (writer_.position() < offset) {
      TRY(task_.check());
      Planned& planned = planned_.front();
      if (planned.known) {
        TRY(writer_.append_known_segment(planned.index, *planned.known));
        planned_.pop_front();
        continue;
      }
      TRY(planned.recut->pass_to(std::min(offset - segment_offset(planned.index), planned.recut->bytes()), writer_,
                                 chunks_));
      end_segment();
    }
    CHECK(writer_.position() == offset);
    return {};
  }

  void end_segment() {
    const SegmentRecut& recut = *planned_.front().recut;
    if (recut.position() == recut.bytes()) planned_.pop_front();
  }

  void report() const {
    Progress progress = writer_.counts();
    progress.phase = "Reading";
    progress.bytes_total = source_.disk_bytes();
    task_.report(progress);
  }

  Store& store_;
  NbdSource& source_;
  NbdSource* const changes_;
  const Parent& parent_;
  ImageWriter& writer_;
  TaskContext& task_;
  ParentChunks chunks_;
  std::deque<Planned> planned_;      // at most kSegmentsPlannedAtOnce
  std::vector<SourceRange> ranges_;  // what must be read of them
  std::uint64_t bytes_read_ = 0;
};

// Null when there is none that can be used.
Result<std::unique_ptr<NbdSource>> open_changes(const CaptureOptions& options, std::uint64_t disk_bytes,
                                                const TaskContext& task) {
  if (!options.parent || options.changes_uri.empty()) return nullptr;
  auto changes = TRY(NbdSource::open({.uri = options.changes_uri, .connections = 1, .layers = options.layers}, task));
  if (changes->knows_origin() && changes->disk_bytes() == disk_bytes) return changes;
  log::warning("capture: the server of the changes does not tell them; the whole disk's is asked");
  return nullptr;
}

Result<CaptureResult> capture_once(Store& store, const CaptureOptions& options, TaskContext& task) {
  const auto source = TRY(NbdSource::open({.uri = options.nbd_uri,
                                           .connections = options.connections,
                                           .requests_in_flight = options.requests_in_flight,
                                           .layers = options.layers},
                                          task));
  if (options.disk_bytes && *options.disk_bytes != source->disk_bytes()) {
    return fail(Code::kInvalidArgument,
                fmt::format("The disk has {} bytes when read, and should have {}. It is refused.", source->disk_bytes(),
                            *options.disk_bytes));
  }
  const auto changes = TRY(open_changes(options, source->disk_bytes(), task));
  const bool knows_origin = changes != nullptr || source->knows_origin();
  const Parent parent = TRY(Parent::find(store, knows_origin ? options.parent : std::nullopt));
  const auto writer =
      TRY(ImageWriter::begin(store, source->disk_bytes(), {.label = options.label, .threads = options.threads}));
  Capture capture(store, *source, changes.get(), parent, *writer, task);
  TRY(capture.run());
  ImageRecord record = TRY(writer->finish(task));
  return CaptureResult{std::move(record), capture.bytes_read()};
}

}  // namespace

Result<CaptureResult> capture_disk(Store& store, const CaptureOptions& options, TaskContext& task) {
  auto captured = capture_once(store, options, task);
  if (captured || !options.parent || captured.error().code() != Code::kDataLoss) return captured;
  // What this store has lost of the parent, the disk's server may still have from another region.
  log::error("capture: image {} is damaged here, the whole disk is read: {}", options.parent->hex(),
             captured.error().message());
  CaptureOptions whole = options;
  whole.parent.reset();
  return capture_once(store, whole, task);
}

}  // namespace atelier::image
