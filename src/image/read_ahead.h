// Brings an image's chunks before a guest asks for them: along its boot trace, and onwards where it reads in sequence.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "image/boot_trace.h"
#include "image/chunk_source.h"
#include "image/image_reader.h"

namespace atelier::image {

struct ReadAheadOptions {
  std::uint64_t bytes_min = 512u << 10;  // ahead of the second read in sequence; doubles with each further one
  std::uint64_t bytes_max = 8u << 20;    // 0: none at all
  std::uint64_t slack_bytes = 1u << 20;  // readers with several requests under way do not come quite in order
  std::uint64_t job_bytes = 1u << 20;    // brought at a time
};

// Tells readers in sequence from others. Many at once, as the VMs of a class are. Thread-safe.
class ReadStreams {
 public:
  ReadStreams(const ReadAheadOptions& options, std::uint64_t disk_bytes) : options_(options), disk_bytes_(disk_bytes) {}

  // What to bring now that this is read; nullopt for nothing.
  std::optional<DiskRange> follow(std::uint64_t offset, std::uint64_t bytes);

 private:
  struct Stream {
    std::uint64_t position = 0;  // behind the last byte read
    std::uint64_t ahead = 0;     // up to here it has been brought
    std::uint64_t window = 0;
    std::uint64_t last_use = 0;  // 0: free
  };

  const ReadAheadOptions options_;
  const std::uint64_t disk_bytes_;
  std::mutex mutex_;
  std::array<Stream, 64> streams_;  // guarded by mutex_
  std::uint64_t uses_ = 0;          // guarded by mutex_
};

// Thread-safe. Its work runs on the threads of the chunk source, which outlives it.
class ReadAhead : public std::enable_shared_from_this<ReadAhead> {
 public:
  ReadAhead(ChunkSource& source, std::shared_ptr<ImageReader> reader, const ReadAheadOptions& options)
      : source_(source), reader_(std::move(reader)), options_(options), streams_(options, reader_->disk_bytes()) {}

  // Brings what this trace says, from start() or the first follow() on. At most once, and before either.
  void set_trace(std::vector<GrainRun> runs, std::uint64_t window_bytes);
  void start();
  // A guest is about to read this.
  void follow(std::uint64_t offset, std::uint64_t bytes);

 private:
  void wake_replay();
  void replay_some();
  void bring(std::span<const DiskRange> ranges);

  ChunkSource& source_;
  const std::shared_ptr<ImageReader> reader_;
  const ReadAheadOptions options_;
  ReadStreams streams_;
  std::unique_ptr<TraceReplay> replay_;  // may be none
  std::atomic<bool> is_replaying_{false};
};

}  // namespace atelier::image
