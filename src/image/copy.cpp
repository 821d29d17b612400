#include "image/copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/log.h"
#include "image/batch_reader.h"
#include "image/boot_trace.h"
#include "image/claims.h"
#include "image/image_record.h"
#include "image/index.h"
#include "image/ordered_work.h"
#include "image/pack_stream.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

constexpr unsigned kInFlightMax = 32;
constexpr std::uint64_t kBatchBytesMax = 64U << 20;

// A segment or root: its bytes, and where it came from the source, how that stores it.
struct Node {
  std::vector<std::byte> bytes;
  std::optional<StoredChunk> sent;
};

// From the target when that has it.
Result<Node> read_node(Store& from, Store& to, const Digest& id) {
  if (TRY(to.has_chunk(id))) {
    auto bytes = to.read_chunk(id);
    if (bytes) return Node{std::move(*bytes), std::nullopt};
    if (bytes.error().code() != Code::kDataLoss) return fail(bytes.error());
  }
  StoredChunk chunk = TRY(from.read_stored_chunk(id));
  auto bytes = TRY_DURING(decode_chunk(id, chunk.codec, chunk.plain_bytes, chunk.bytes), "check a chunk on arrival");
  return Node{std::move(bytes), std::move(chunk)};
}

struct FoundSegment {
  Segment segment;
  std::optional<StoredChunk> sent;
};

Result<FoundSegment> find_segment(Store& from, Store& to, const Digest& id, std::uint64_t bytes) {
  FoundSegment found;
  if (id.is_zero()) {
    found.segment.add_hole(static_cast<std::uint32_t>(bytes));
    return found;
  }
  Node node = TRY(read_node(from, to, id));
  found.segment = TRY(decode_segment(node.bytes));
  found.sent = std::move(node.sent);
  if (found.segment.bytes() == bytes) return found;
  return fail(Code::kDataLoss, fmt::format("The segment {} covers {} bytes of disk instead of {}.", id.hex(),
                                           found.segment.bytes(), bytes));
}

// Chunks that are read and checked together, and then packed.
class Batch {
 public:
  // Not a byte more than what is wanted is read.
  explicit Batch(Store& from) : reader_(from, {.gap_bytes_max = 0}) {}

  void clear() {
    ids_.clear();
    bytes_.clear();
    nodes_.clear();
    plain_bytes_ = 0;
    progress = {};
  }
  void add(const Digest& id, std::uint32_t bytes) {
    ids_.push_back(id);
    bytes_.push_back(bytes);
    plain_bytes_ += bytes;
  }
  // A segment that has come already, to be packed behind the chunks.
  void add_node(StoredChunk node) { nodes_.push_back(std::move(node)); }
  std::uint64_t plain_bytes() const { return plain_bytes_; }
  std::size_t nodes() const { return nodes_.size(); }

  // The check on arrival: bytes that are not the chunk never get into the other store.
  Status fetch() {
    TRY(reader_.read(ids_));
    if (room_.size() < plain_bytes_) room_.resize(plain_bytes_);
    std::span<std::byte> room = room_;
    std::vector<ChunkToDecode> chunks;
    chunks.reserve(ids_.size());
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      const ChunkAsStored& stored = reader_.chunks()[i];
      chunks.push_back({ids_[i], stored.codec, stored.bytes, room.first(bytes_[i])});
      room = room.subspan(bytes_[i]);
    }
    if (decode_chunks(chunks, wrong_) == 0) return {};
    const auto first = std::ranges::find(wrong_, true) - wrong_.begin();
    return fail(wrong_chunk(ids_[static_cast<std::size_t>(first)]).during("check a chunk on arrival"));
  }

  Status pack(PackStream& packs, CopyResult& result) const {
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      const ChunkAsStored& chunk = reader_.chunks()[i];
      TRY(packs.append(ids_[i], chunk.codec, bytes_[i], chunk.bytes));
      result.bytes_sent += chunk.bytes.size();
    }
    for (const StoredChunk& node : nodes_) {
      TRY(packs.append(node.id, node.codec, node.plain_bytes, node.bytes));
      result.bytes_sent += node.bytes.size();
    }
    result.chunks_sent += ids_.size() + nodes_.size();
    return {};
  }

  Progress progress;  // what it adds to the copy's

 private:
  BatchReader reader_;
  std::vector<Digest> ids_;
  std::vector<std::uint32_t> bytes_;
  std::vector<StoredChunk> nodes_;
  std::uint64_t plain_bytes_ = 0;
  std::vector<std::byte> room_;
  std::vector<bool> wrong_;
};

// Segment lists are looked up ahead; what they miss goes into batches, which are fetched side by side and packed in the
// disk's order.
class ImageCopy {
 public:
  ImageCopy(Store& from, Store& to, const CopyOptions& options, TaskContext& task)
      : from_(from),
        to_(to),
        options_(options),
        task_(task),
        packs_(to, claims_),
        lists_(options.in_flight, options.in_flight),
        fetches_(options.in_flight, options.in_flight) {}

  Result<CopyResult> run(const ImageRecord& record) {
    Node root_node = TRY_DURING(read_node(from_, to_, record.root), fmt::format("read the root {}", record.root.hex()));
    const Root root = TRY(decode_root(root_node.bytes));
    progress_.phase = "Copying";
    progress_.bytes_total = root.disk_bytes;
    TRY(copy_segments(root));
    TRY(claim_node(record.root, std::move(root_node.sent)));
    TRY(hand_over());
    while (!fetches_.empty()) TRY(pack_oldest());
    TRY(task_.check());
    progress_.phase = "Committing";
    task_.report(progress_);
    TRY(packs_.finish());
    // The counts are of this store: what was new here, and what it took.
    ImageRecord arrived = record;
    arrived.created_at = now();
    arrived.new_bytes = progress_.bytes_new;
    arrived.stored_bytes = result_.bytes_sent;
    TRY(commit_image(to_, arrived, packs_.begun_at()));
    return result_;
  }

 private:
  using Fetched = std::pair<Status, std::unique_ptr<Batch>>;

  Status copy_segments(const Root& root) {
    std::size_t asked = 0;
    for (std::size_t i = 0; i < root.segments.size(); ++i) {
      TRY(task_.check());
      for (; asked < root.segments.size() && !lists_.full(); ++asked) {
        const std::uint64_t bytes = segment_bytes(root.disk_bytes, asked);
        // One that comes twice is looked up once: when the second's turn comes, the first is done.
        const bool is_first = asked_for_.insert(root.segments[asked]).second;
        lists_.give([this, id = root.segments[asked], bytes, is_first]() -> Result<FoundSegment> {
          if (!is_first && !id.is_zero()) return FoundSegment{};
          return find_segment(from_, to_, id, bytes);
        });
      }
      const std::string doing = fmt::format("copy segment {}", i);
      FoundSegment found = TRY_DURING(lists_.take(), doing);
      TRY_DURING(copy_segment(root.segments[i], segment_bytes(root.disk_bytes, i), std::move(found)), doing);
    }
    return {};
  }

  Status copy_segment(const Digest& id, std::uint64_t bytes, FoundSegment found) {
    const auto known = data_bytes_.find(id);
    if (known != data_bytes_.end()) {
      batch().progress.bytes_known += known->second;
    } else {
      if (!id.is_zero()) data_bytes_.emplace(id, found.segment.data_bytes());
      TRY(copy_chunks(found.segment));
      TRY(claim_node(id, std::move(found.sent)));
    }
    batch().progress.bytes_done += bytes;
    // Nothing to wait for: the progress shows at once.
    const bool is_known = batch().plain_bytes() == 0 && batch().nodes() == 0;
    return is_known || batch().plain_bytes() >= options_.batch_bytes ? hand_over() : Status{};
  }

  Status copy_chunks(const Segment& segment) {
    std::vector<Digest> ids;
    for (const SegmentEntry& entry : segment.entries) {
      if (!entry.is_hole()) ids.push_back(entry.chunk);
    }
    std::vector<bool> is_new;
    TRY(claims_.claim_new(to_.index(), ids, is_new));
    std::size_t next = 0;
    for (const SegmentEntry& entry : segment.entries) {
      if (entry.is_hole()) continue;
      const bool missing = is_new[next++];
      Progress& progress = batch().progress;
      (missing ? progress.bytes_new : progress.bytes_known) += entry.bytes;
      if (!missing) continue;
      batch().add(entry.chunk, entry.bytes);
      if (batch().plain_bytes() >= options_.batch_bytes) TRY(hand_over());
    }
    return {};
  }

  // A segment or the root, when it came from the source.
  Status claim_node(const Digest& id, std::optional<StoredChunk> sent) {
    if (!sent) return {};
    std::vector<bool> is_new;
    TRY(claims_.claim_new(to_.index(), {&id, 1}, is_new));
    if (is_new[0]) batch().add_node(std::move(*sent));
    return {};
  }

  Batch& batch() {
    if (filling_ == nullptr && !idle_.empty()) {
      filling_ = std::move(idle_.back());
      idle_.pop_back();
    }
    if (filling_ == nullptr) filling_ = std::make_unique<Batch>(from_);
    return *filling_;
  }

  Status hand_over() {
    TRY(task_.check());
    if (filling_ == nullptr) return {};
    while (fetches_.full()) TRY(pack_oldest());
    fetches_.give([batch = std::move(filling_)]() mutable {
      Status fetched = batch->fetch();
      return Fetched{std::move(fetched), std::move(batch)};
    });
    return {};
  }

  Status pack_oldest() {
    auto [fetched, batch] = fetches_.take();
    TRY(fetched);
    TRY(batch->pack(packs_, result_));
    progress_.bytes_done += batch->progress.bytes_done;
    progress_.bytes_new += batch->progress.bytes_new;
    progress_.bytes_known += batch->progress.bytes_known;
    task_.report(progress_);
    batch->clear();
    idle_.push_back(std::move(batch));
    return {};
  }

  Store& from_;
  Store& to_;
  const CopyOptions options_;
  TaskContext& task_;
  Progress progress_;
  CopyResult result_;
  Claims claims_;
  std::unordered_set<Digest, DigestHash> asked_for_;
  std::unordered_map<Digest, std::uint64_t, DigestHash> data_bytes_;  // of the segments that are done
  std::unique_ptr<Batch> filling_;
  std::vector<std::unique_ptr<Batch>> idle_;  // their memory is used again
  PackStream packs_;                          // the last members: their threads use the others
  OrderedWork<Result<FoundSegment>> lists_;
  OrderedWork<Fetched> fetches_;
};

// The boot trace, if the image has one that is whole. It is a hint: a copy does not fail for its sake.
Result<std::vector<std::byte>> read_whole_trace(Store& from, const ImageRecord& record) {
  const auto runs = read_trace(from.bucket(), record.root, record.disk_bytes);
  if (runs) return encode_trace(record.root, *runs);
  if (runs.error().code() == Code::kNotFound || runs.error().code() == Code::kDataLoss) return std::vector<std::byte>{};
  return fail(runs.error());
}

void put_trace(Store& to, const Digest& root, std::span<const std::byte> trace) {
  if (trace.empty()) return;
  const Status put = to.bucket().put(trace_name(root), trace);
  if (put || put.error().code() == Code::kAlreadyExists) return;
  log::warning("copy: the boot trace of {} did not arrive: {}", root.hex(), put.error().message());
}

}  // namespace

Result<CopyResult> copy_image(Store& from, Store& to, const Digest& root, TaskContext& task,
                              const CopyOptions& options) {
  if (options.in_flight == 0 || options.in_flight > kInFlightMax || options.batch_bytes == 0 ||
      options.batch_bytes > kBatchBytesMax) {
    return fail(Code::kInvalidArgument, "The copy's options are out of their bounds.");
  }
  const auto record = TRY(find_image(from, root));
  if (!record) return fail(Code::kNotFound, fmt::format("The store has no image {}.", root.hex()));
  if (to.access() != Access::kReadWrite) {
    return fail(Code::kFailedPrecondition, "The store to copy to is open for reading only.");
  }
  const auto existing = TRY(find_image(to, root));
  const auto trace = TRY(read_whole_trace(from, *record));
  CopyResult result;
  if (!existing) {
    ImageCopy copy(from, to, options, task);
    result = TRY(copy.run(*record));
  }
  put_trace(to, root, trace);
  return result;
}

}  // namespace atelier::image
