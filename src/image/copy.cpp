#include "image/copy.h"

#include <fmt/format.h>

#include <vector>

#include "image/claims.h"
#include "image/image_record.h"
#include "image/index.h"
#include "image/pack_stream.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

class ImageCopy {
 public:
  ImageCopy(Store& from, Store& to, TaskContext& task) : from_(from), to_(to), task_(task), packs_(to, claims_) {}

  Result<CopyResult> run(const ImageRecord& record) {
    const Root root = TRY(read_root(from_, record.root));
    progress_.phase = "Copying";
    progress_.bytes_total = root.disk_bytes;
    for (std::size_t i = 0; i < root.segments.size(); ++i) {
      TRY(task_.check());
      const std::uint64_t bytes = segment_bytes(root.disk_bytes, i);
      TRY_DURING(copy_segment(root.segments[i], bytes), fmt::format("copy segment {}", i));
      task_.report(progress_);
    }
    TRY(task_.check());
    TRY(copy_node(record.root));
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
  Status copy_segment(const Digest& id, std::uint64_t bytes) {
    const Segment segment = TRY(read_segment(from_, id, bytes));
    const bool whole = TRY(to_.has_whole_segment(id));
    if (!whole) {
      TRY(copy_chunks(segment));
      TRY(copy_node(id));
    } else {
      progress_.bytes_known += segment.data_bytes();
    }
    progress_.bytes_done += bytes;
    return {};
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
      (missing ? progress_.bytes_new : progress_.bytes_known) += entry.bytes;
      if (!missing) continue;
      TRY(task_.check());
      TRY(send(entry.chunk));
    }
    return {};
  }

  // A segment or the root.
  Status copy_node(const Digest& id) {
    std::vector<bool> is_new;
    TRY(claims_.claim_new(to_.index(), {&id, 1}, is_new));
    return is_new[0] ? send(id) : Status{};
  }

  Status send(const Digest& id) {
    const StoredChunk chunk = TRY(from_.read_stored_chunk(id));
    // The check on arrival: bytes that are not the chunk never get into the other store.
    TRY_DURING(decode_chunk(id, chunk.codec, chunk.plain_bytes, chunk.bytes), "check a chunk on arrival");
    TRY(packs_.append(id, chunk.codec, chunk.plain_bytes, chunk.bytes));
    result_.bytes_sent += chunk.bytes.size();
    ++result_.chunks_sent;
    return {};
  }

  Store& from_;
  Store& to_;
  TaskContext& task_;
  Progress progress_;
  CopyResult result_;
  Claims claims_;
  PackStream packs_;  // the last member: its thread uses claims_
};

}  // namespace

Result<CopyResult> copy_image(Store& from, Store& to, const Digest& root, TaskContext& task) {
  const auto record = TRY(find_image(from, root));
  if (!record) return fail(Code::kNotFound, fmt::format("The store has no image {}.", root.hex()));
  if (to.access() != Access::kReadWrite) {
    return fail(Code::kFailedPrecondition, "The store to copy to is open for reading only.");
  }
  const auto existing = TRY(find_image(to, root));
  if (existing) return CopyResult{};
  ImageCopy copy(from, to, task);
  return copy.run(*record);
}

}  // namespace atelier::image
