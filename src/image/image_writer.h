// Writes one image: takes a disk's bytes in order, cuts, hashes, compresses and stores what the store does not have.
//
// The work is staged: the caller's thread cuts, `threads` workers hash and compress, one thread orders and packs, one
// makes packs durable. All queues are bounded (about 170 MiB in all with the default pack size), so that append_*
// blocks while the stages behind are busy. Several writers may work on one store at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/image_record.h"
#include "image/store.h"

namespace atelier::image {

struct WriteOptions {
  std::string label;     // goes into the record; at most kLabelBytesMax bytes of UTF-8
  unsigned threads = 0;  // for hashing and compressing; 0 = one per processor, at most 8
};

// Calls come from one thread at a time, except counts(). The store must outlive it. Destroyed before finish() it leaves
// no image, only chunks that a later writer finds again or a sweep removes.
class ImageWriter {
 public:
  // kInvalidArgument for a disk of 0 bytes or a bad label, kTooLarge above kDiskBytesMax, kFailedPrecondition when the
  // store is open read-only.
  static Result<std::unique_ptr<ImageWriter>> begin(Store& store, std::uint64_t disk_bytes, WriteOptions options);
  ~ImageWriter();
  ImageWriter(const ImageWriter&) = delete;
  ImageWriter& operator=(const ImageWriter&) = delete;

  // The next bytes of the disk, in pieces of any length and alignment; the bytes are copied before it returns. Zeros
  // become holes. Errors of the stages behind come out of the next call, and out of every call after that.
  Status append_data(std::span<const std::byte> bytes);
  // Saves that copy: memory for the next bytes of the disk, at least one and none behind its end, valid until the next
  // call; filled by the caller, `bytes` of it become part of the image with append_reserved().
  Result<std::span<std::byte>> reserve();
  Status append_reserved(std::size_t bytes);
  // Saves it as well: the bytes are read where they are, so they must stay there, unchanged, until finish() returns or
  // the writer is destroyed. Where a chunk is open they must follow in memory what was lent before (else
  // kInvalidArgument).
  Status append_lent(std::span<const std::byte> bytes);
  // The next `bytes` bytes are zeros.
  Status append_hole(std::uint64_t bytes);
  // The next segment is the one that `segment` names, as in another image of this store. The position must be where
  // segment `index` begins. kNotFound when the store lacks the segment or a chunk of it: append its bytes instead.
  Status append_known_segment(std::size_t index, const Digest& segment);
  // The next `bytes` bytes are this chunk of the store, whose cut the caller knows to be the one that the bytes would
  // get here. Only where at_chunk_boundary(); it must not cross a segment's end (else kInvalidArgument). The caller has
  // found the chunk in the store (Store::has_whole_segment of a segment that names it); it is not looked up again.
  Status append_known_chunk(const Digest& id, std::uint32_t bytes);

  // Is all that was appended cut, so that the next byte begins a chunk or a hole?
  bool at_chunk_boundary() const;
  // Where the next byte goes.
  std::uint64_t position() const;
  // How far the work is; bytes_done follows position() at a distance. Any thread.
  Progress counts() const;

  // Makes everything durable and then the image exist: packs, then index, then the record. Exactly disk_bytes must have
  // been appended (else kInvalidArgument). No call may follow.
  Result<ImageRecord> finish();
  // The same for a job: asks `task` before whether to stop (kCanceled), and reports phase "Committing" before and
  // after.
  Result<ImageRecord> finish(TaskContext& task);

 private:
  class Pipeline;
  explicit ImageWriter(std::unique_ptr<Pipeline> pipeline);
  std::unique_ptr<Pipeline> pipeline_;
};

}  // namespace atelier::image
