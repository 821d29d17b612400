// What a guest reads of its image while it boots, in the order of the first reads: recorded once, kept beside the image
// as the object traces/<root> (docs/formats/store-1.md), and read ahead of every later guest. A hint only: a trace that
// is damaged, or of another disk, costs time and nothing else.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "image/bucket.h"
#include "image/digest.h"

namespace atelier::image {

// A stretch of the disk in grains of 4096 bytes.
struct GrainRun {
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  bool operator==(const GrainRun&) const = default;
};

inline constexpr std::size_t kTraceRunsMax = 65536;

// How much disk they are.
std::uint64_t trace_bytes(std::span<const GrainRun> runs);
// "traces/<hex>".
std::string trace_name(const Digest& root);
std::vector<std::byte> encode_trace(const Digest& root, std::span<const GrainRun> runs);
// kDataLoss unless `bytes` is a whole trace of that image.
Result<std::vector<GrainRun>> decode_trace(const Digest& root, std::uint64_t disk_bytes,
                                           std::span<const std::byte> bytes);
// kNotFound when the image has none, kDataLoss when it is damaged.
Result<std::vector<GrainRun>> read_trace(Bucket& bucket, const Digest& root, std::uint64_t disk_bytes);

struct TraceOptions {
  std::chrono::milliseconds duration{60000};  // from the image's opening on
  std::uint64_t bytes_max = 512u << 20;
  std::uint64_t bytes_min = 4u << 20;   // less is no boot, only a look at the disk
  std::uint64_t jump_bytes = 4u << 20;  // a reader that jumps less often than this copies the disk, and boots nothing
  std::uint64_t window_bytes = 32u << 20;  // read ahead of where the guest is in its trace
};

// Notes what is read first. Thread-safe.
class TraceRecorder {
 public:
  explicit TraceRecorder(const TraceOptions& options);

  void record(std::uint64_t offset, std::uint64_t bytes);
  // Has its time passed, or is it full?
  bool is_over() const;
  // What there is by now; nullopt when it is not the trace of a boot.
  std::optional<std::vector<GrainRun>> trace() const;

 private:
  const TraceOptions options_;
  const std::chrono::steady_clock::time_point end_;
  mutable std::mutex mutex_;
  std::unordered_set<std::uint32_t> seen_;  // guarded by mutex_, as is all below
  std::vector<GrainRun> runs_;
  std::uint64_t jumps_ = 0;
  bool is_full_ = false;
};

// Says what to read next so that it is there before the guest asks. Thread-safe.
class TraceReplay {
 public:
  TraceReplay(std::vector<GrainRun> runs, std::uint64_t window_bytes);

  // The guest reads here. Gives whether there is now something to read ahead.
  bool follow(std::uint64_t offset, std::uint64_t bytes);
  // The next stretches, about `bytes` of them in all; none when enough has been read ahead, or all.
  std::vector<GrainRun> next(std::uint64_t bytes);

 private:
  bool may_go_on() const;

  const std::vector<GrainRun> runs_;
  const std::uint64_t window_bytes_;
  std::vector<std::uint64_t> starts_;              // bytes of the trace before each run
  std::map<std::uint32_t, std::size_t> by_first_;  // a run's first grain to its place
  std::mutex mutex_;
  std::size_t guest_ = 0;  // guarded by mutex_: the furthest run that the guest has read from
  std::size_t next_ = 0;   // guarded by mutex_
};

}  // namespace atelier::image
