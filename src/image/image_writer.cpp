#include "image/image_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"
#include "image/bounded_queue.h"
#include "image/cutting.h"
#include "image/geometry.h"
#include "image/index.h"
#include "image/tree_builder.h"

namespace atelier::image {
namespace {

constexpr unsigned kThreadsMax = 8;

unsigned thread_count(unsigned asked) {
  const unsigned count = asked != 0 ? asked : std::max(1u, std::thread::hardware_concurrency());
  return std::min(count, kThreadsMax);
}

}  // namespace

// The caller's thread cuts into batches; workers prepare them; the ordering thread puts them in disk order and builds
// the tree; the tree's pack stream makes packs durable. A fixed number of batches goes around.
class ImageWriter::Pipeline {
 public:
  Pipeline(Store& store, std::uint64_t disk_bytes, WriteOptions options)
      : store_(store),
        disk_bytes_(disk_bytes),
        options_(std::move(options)),
        batch_count_(2 * thread_count(options_.threads) + 3),
        free_(batch_count_),
        cut_(batch_count_),
        prepared_(batch_count_),
        tree_(store, disk_bytes) {
    for (std::size_t i = 0; i < batch_count_; ++i) free_.push(std::make_unique<Batch>());
    for (unsigned i = 0; i < thread_count(options_.threads); ++i) workers_.emplace_back([this] { prepare_batches(); });
    orderer_ = std::thread([this] { order_batches(); });
  }

  ~Pipeline() {
    abandoned_ = true;
    close_queues();
    join();
  }

  Result<std::span<std::byte>> reserve();
  Status append_reserved(std::size_t bytes);
  Status append_data(std::span<const std::byte> bytes);
  Status append_lent(std::span<const std::byte> bytes);
  Status append_hole(std::uint64_t bytes);
  Status append_known_segment(std::size_t index, const Digest& segment);
  Status append_known_chunk(const Digest& id, std::uint32_t bytes);
  Result<ImageRecord> finish();
  bool at_chunk_boundary() const { return uncut_bytes() == 0 && cutter_.at_boundary(); }
  std::uint64_t position() const { return position_; }
  Progress counts() const { return tree_.counts(); }

 private:
  using BatchPointer = std::unique_ptr<Batch>;

  void prepare_batches();
  void order_batches();
  void stop_with(const Error& error);
  void close_queues();
  void join();
  Status status();

  Status check_room(std::uint64_t bytes);
  std::size_t uncut_bytes() const;
  Status cut();
  Status ensure_batch();
  void end_chunk();
  void add_hole(std::uint64_t bytes);
  Status add_known(const Piece& piece);
  // What is left over stays where it is if it is lent, or is copied into a batch's own memory.
  enum class Leftover { kStays, kCopied };
  Status submit(Leftover leftover = Leftover::kStays);

  Store& store_;
  const std::uint64_t disk_bytes_;
  const WriteOptions options_;
  const std::size_t batch_count_;

  // The caller's thread:
  Cutter cutter_;
  std::uint64_t position_ = 0;  // of the next byte that is appended
  BatchPointer batch_;
  std::size_t chunk_at_ = 0;  // where the open chunk begins in batch_
  std::size_t cut_at_ = 0;    // where the first grain begins that has not come whole
  std::uint64_t batches_cut_ = 0;
  bool finished_ = false;

  BoundedQueue<BatchPointer> free_, cut_, prepared_;
  TreeBuilder tree_;
  std::vector<std::thread> workers_;
  std::thread orderer_;
  std::atomic<bool> abandoned_{false};
  std::mutex mutex_;
  std::optional<Error> error_;  // guarded by mutex_: the first failure of any stage
};

// ---- The stages behind

void ImageWriter::Pipeline::prepare_batches() {
  while (auto batch = cut_.pop()) {
    if (abandoned_) return;
    const Status prepared = prepare_batch(**batch, store_.index(), tree_.claims());
    if (!prepared) return stop_with(prepared.error());
    prepared_.push(std::move(*batch));
  }
}

void ImageWriter::Pipeline::order_batches() {
  std::map<std::uint64_t, BatchPointer> waiting;
  std::uint64_t next = 0;
  while (auto batch = prepared_.pop()) {
    const std::uint64_t number = (*batch)->number;
    waiting.emplace(number, std::move(*batch));
    for (auto first = waiting.begin(); first != waiting.end() && first->first == next; first = waiting.begin()) {
      if (abandoned_) return;
      const Status added = tree_.add(*first->second);
      if (!added) return stop_with(added.error());
      first->second->clear();
      free_.push(std::move(first->second));
      waiting.erase(first);
      ++next;
    }
  }
}

void ImageWriter::Pipeline::stop_with(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }
  abandoned_ = true;
  close_queues();
}

void ImageWriter::Pipeline::close_queues() {
  free_.close();
  cut_.close();
  prepared_.close();
}

void ImageWriter::Pipeline::join() {
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  prepared_.close();
  if (orderer_.joinable()) orderer_.join();
}

Status ImageWriter::Pipeline::status() {
  const std::lock_guard lock(mutex_);
  if (error_) return fail(*error_);
  return {};
}

// ---- Cutting, on the caller's thread

Status ImageWriter::Pipeline::check_room(std::uint64_t bytes) {
  CHECK(!finished_);
  TRY(status());
  if (bytes > disk_bytes_ - position_) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} bytes at {} reach beyond the disk's end at {}.", bytes, position_, disk_bytes_));
  }
  return {};
}

std::size_t ImageWriter::Pipeline::uncut_bytes() const { return batch_ == nullptr ? 0 : batch_->plain_used - cut_at_; }

Result<std::span<std::byte>> ImageWriter::Pipeline::reserve() {
  TRY(check_room(0));
  if (batch_ != nullptr && batch_->is_lent()) TRY(submit(Leftover::kCopied));
  TRY(ensure_batch());
  const std::size_t room = Batch::kPlainMax - batch_->plain_used;
  CHECK(room > 0);
  return std::span(batch_->own.get() + batch_->plain_used,
                   static_cast<std::size_t>(std::min<std::uint64_t>(room, disk_bytes_ - position_)));
}

Status ImageWriter::Pipeline::append_reserved(std::size_t bytes) {
  TRY(check_room(bytes));
  if (bytes == 0) return {};
  CHECK(batch_ != nullptr && bytes <= Batch::kPlainMax - batch_->plain_used);
  batch_->plain_used += bytes;
  position_ += bytes;
  TRY(cut());
  return batch_->is_full() ? submit() : Status{};
}

Status ImageWriter::Pipeline::append_lent(std::span<const std::byte> bytes) {
  TRY(check_room(bytes.size()));
  while (!bytes.empty()) {
    const bool goes_on = batch_ != nullptr && batch_->is_lent() && batch_->plain + batch_->plain_used == bytes.data();
    if (!goes_on) {
      if (!at_chunk_boundary()) return fail(Code::kInvalidArgument, "Lent bytes must follow what was lent before.");
      if (batch_ != nullptr && batch_->plain_used > 0) TRY(submit());
      TRY(ensure_batch());
      batch_->plain = bytes.data();
    }
    const std::size_t count = std::min(bytes.size(), Batch::kPlainMax - batch_->plain_used);
    TRY(append_reserved(count));
    bytes = bytes.subspan(count);
  }
  return {};
}

Status ImageWriter::Pipeline::append_data(std::span<const std::byte> bytes) {
  TRY(check_room(bytes.size()));
  while (!bytes.empty()) {
    const auto into = TRY(reserve());
    const std::size_t count = std::min(bytes.size(), into.size());
    std::memcpy(into.data(), bytes.data(), count);
    TRY(append_reserved(count));
    bytes = bytes.subspan(count);
  }
  return {};
}

Status ImageWriter::Pipeline::append_hole(std::uint64_t bytes) {
  TRY(check_room(bytes));
  while (bytes > 0) {
    const std::size_t uncut = uncut_bytes();
    const bool to_the_end = position_ + bytes == disk_bytes_;
    if (uncut == 0 && (to_the_end || bytes >= kGrainBytes)) {
      // Whole grains at once, with the disk's last one even if it is short.
      const std::uint64_t whole = to_the_end ? bytes : bytes / kGrainBytes * kGrainBytes;
      TRY(ensure_batch());
      end_chunk();
      cutter_.reset();
      position_ += whole;
      add_hole(whole);
      bytes -= whole;
      continue;
    }
    // The rest of a grain that has begun, or the begin of one that goes on.
    const auto into = TRY(reserve());
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes, std::min(into.size(), kGrainBytes - uncut)));
    std::memset(into.data(), 0, count);
    TRY(append_reserved(count));
    bytes -= count;
  }
  return batch_ != nullptr && batch_->is_full() ? submit() : Status{};
}

// Cuts the whole grains that have come, where they lie.
Status ImageWriter::Pipeline::cut() {
  while (cut_at_ < batch_->plain_used) {
    const std::uint64_t begin = position_ - uncut_bytes();
    const auto grain_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(kGrainBytes, disk_bytes_ - begin));
    if (uncut_bytes() < grain_bytes) return {};
    const Cutter::Step step = cutter_.step({batch_->plain + cut_at_, grain_bytes});
    if (step == Cutter::Step::kHole) {
      end_chunk();
      cut_at_ += grain_bytes;
      chunk_at_ = cut_at_;
      add_hole(grain_bytes);
      continue;
    }
    cut_at_ += grain_bytes;
    const std::uint64_t end = begin + grain_bytes;
    const bool segment_ends = end % kSegmentBytes == 0 || end == disk_bytes_;
    if (segment_ends) cutter_.reset();
    if (segment_ends || step == Cutter::Step::kEnd) end_chunk();
  }
  return {};
}

Status ImageWriter::Pipeline::ensure_batch() {
  if (batch_ != nullptr) return {};
  auto batch = free_.pop();
  if (!batch) {
    TRY(status());
    return fail(Code::kInternal, "The image's writer has stopped.");
  }
  batch_ = std::move(*batch);
  batch_->number = batches_cut_++;
  chunk_at_ = cut_at_ = 0;
  return {};
}

// The open chunk, if any, ends at cut_at_.
void ImageWriter::Pipeline::end_chunk() {
  if (cut_at_ == chunk_at_) return;
  batch_->pieces.push_back(
      {.kind = Piece::Kind::kChunk, .disk_bytes = cut_at_ - chunk_at_, .plain_at = chunk_at_, .id = {}});
  chunk_at_ = cut_at_;
}

void ImageWriter::Pipeline::add_hole(std::uint64_t bytes) {
  if (!batch_->pieces.empty() && batch_->pieces.back().kind == Piece::Kind::kHole) {
    batch_->pieces.back().disk_bytes += bytes;
  } else {
    batch_->pieces.push_back({.kind = Piece::Kind::kHole, .disk_bytes = bytes, .id = {}});
  }
}

Status ImageWriter::Pipeline::add_known(const Piece& piece) {
  CHECK(at_chunk_boundary());
  TRY(ensure_batch());
  batch_->pieces.push_back(piece);
  return batch_->is_full() ? submit() : Status{};
}

// Hands the batch on. What has not become a chunk yet moves into the next one.
Status ImageWriter::Pipeline::submit(Leftover leftover) {
  if (batch_ == nullptr) return {};
  BatchPointer full = std::move(batch_);
  const std::size_t chunk_at = chunk_at_;
  const std::size_t open_bytes = cut_at_ - chunk_at_;
  const std::size_t left_bytes = full->plain_used - chunk_at_;
  if (left_bytes > 0) {
    TRY(ensure_batch());
    if (full->is_lent() && leftover == Leftover::kStays) {
      batch_->plain = full->plain + chunk_at;
    } else {
      std::memcpy(batch_->own.get(), full->plain + chunk_at, left_bytes);
    }
    batch_->plain_used = left_bytes;
    cut_at_ = open_bytes;
  }
  if (!cut_.push(std::move(full))) {
    TRY(status());
    return fail(Code::kInternal, "The image's writer has stopped.");
  }
  return {};
}

Status ImageWriter::Pipeline::append_known_segment(std::size_t index, const Digest& segment) {
  if (index >= segment_count(disk_bytes_) || position_ != index * kSegmentBytes) {
    return fail(Code::kInvalidArgument, fmt::format("Segment {} does not begin at {}.", index, position_));
  }
  const std::uint64_t bytes = segment_bytes(disk_bytes_, index);
  if (segment.is_zero()) return append_hole(bytes);
  TRY(check_room(bytes));
  const auto known = TRY(store_.find_whole_segment(segment));
  if (!known) {
    return fail(Code::kNotFound, fmt::format("The store does not have the whole segment {}.", segment.hex()));
  }
  if (known->disk_bytes != bytes) {
    return fail(Code::kInvalidArgument,
                fmt::format("The segment covers {} bytes of disk; {} are due here.", known->disk_bytes, bytes));
  }
  position_ += bytes;
  return add_known(
      {.kind = Piece::Kind::kSegment, .disk_bytes = bytes, .id = segment, .data_bytes = known->data_bytes});
}

Status ImageWriter::Pipeline::append_known_chunk(const Digest& id, std::uint32_t bytes) {
  TRY(check_room(bytes));
  const std::uint64_t end = position_ + bytes;
  const bool ends_on_edge = end % kGrainBytes == 0 || end == disk_bytes_;
  if (!at_chunk_boundary() || id.is_zero() || bytes == 0 || bytes > kDataChunkBytesMax || !ends_on_edge ||
      position_ / kSegmentBytes != (end - 1) / kSegmentBytes) {
    return fail(Code::kInvalidArgument, fmt::format("No chunk of {} bytes can stand at {}.", bytes, position_));
  }
  position_ = end;
  return add_known({.kind = Piece::Kind::kKnownChunk, .disk_bytes = bytes, .id = id});
}

Result<ImageRecord> ImageWriter::Pipeline::finish() {
  TRY(check_room(0));
  if (position_ != disk_bytes_) {
    return fail(Code::kInvalidArgument,
                fmt::format("The disk has {} bytes, and {} were written.", disk_bytes_, position_));
  }
  finished_ = true;
  TRY(submit());
  cut_.close();
  join();
  TRY(status());
  const Digest root = TRY(tree_.finish());
  const ImageRecord record{.root = root,
                           .disk_bytes = disk_bytes_,
                           .data_bytes = tree_.data_bytes(),
                           .new_bytes = tree_.new_bytes(),
                           .stored_bytes = tree_.stored_bytes(),
                           .created_at = now(),
                           .label = options_.label};
  return commit_image(store_, record, tree_.begun_at());
}

// ---- The writer

Result<std::unique_ptr<ImageWriter>> ImageWriter::begin(Store& store, std::uint64_t disk_bytes, WriteOptions options) {
  if (store.access() != Access::kReadWrite) {
    return fail(Code::kFailedPrecondition, "The store is open for reading only.");
  }
  if (disk_bytes == 0) return fail(Code::kInvalidArgument, "A disk of 0 bytes cannot be stored.");
  if (disk_bytes > kDiskBytesMax) return fail(Code::kTooLarge, "The disk is larger than 16 TiB.");
  if (options.label.size() > kLabelBytesMax) return fail(Code::kInvalidArgument, "The image's label is too long.");
  return std::unique_ptr<ImageWriter>(
      new ImageWriter(std::make_unique<Pipeline>(store, disk_bytes, std::move(options))));
}

ImageWriter::ImageWriter(std::unique_ptr<Pipeline> pipeline) : pipeline_(std::move(pipeline)) {}
ImageWriter::~ImageWriter() = default;

Result<std::span<std::byte>> ImageWriter::reserve() { return pipeline_->reserve(); }
Status ImageWriter::append_reserved(std::size_t bytes) { return pipeline_->append_reserved(bytes); }
Status ImageWriter::append_data(std::span<const std::byte> bytes) { return pipeline_->append_data(bytes); }
Status ImageWriter::append_lent(std::span<const std::byte> bytes) { return pipeline_->append_lent(bytes); }
Status ImageWriter::append_hole(std::uint64_t bytes) { return pipeline_->append_hole(bytes); }
Status ImageWriter::append_known_segment(std::size_t index, const Digest& segment) {
  return pipeline_->append_known_segment(index, segment);
}
Status ImageWriter::append_known_chunk(const Digest& id, std::uint32_t bytes) {
  return pipeline_->append_known_chunk(id, bytes);
}
bool ImageWriter::at_chunk_boundary() const { return pipeline_->at_chunk_boundary(); }
std::uint64_t ImageWriter::position() const { return pipeline_->position(); }
Progress ImageWriter::counts() const { return pipeline_->counts(); }
Result<ImageRecord> ImageWriter::finish() { return pipeline_->finish(); }

Result<ImageRecord> ImageWriter::finish(TaskContext& task) {
  TRY(task.check());
  const auto report = [&] {
    Progress progress = counts();
    progress.phase = "Committing";
    task.report(progress);
  };
  report();
  ImageRecord record = TRY(finish());
  report();
  return record;
}

}  // namespace atelier::image
