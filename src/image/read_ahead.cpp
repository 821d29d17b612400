#include "image/read_ahead.h"

#include <algorithm>
#include <utility>

#include "image/geometry.h"

namespace atelier::image {

std::optional<DiskRange> ReadStreams::follow(std::uint64_t offset, std::uint64_t bytes) {
  if (options_.bytes_max == 0) return std::nullopt;
  const std::uint64_t end = offset + bytes;
  const std::lock_guard lock(mutex_);
  ++uses_;
  Stream* oldest = streams_.data();
  for (Stream& stream : streams_) {
    if (stream.last_use < oldest->last_use) oldest = &stream;
    const bool is_next = stream.last_use > 0 && offset <= stream.position + options_.slack_bytes &&
                         end + options_.slack_bytes >= stream.position;
    if (!is_next) continue;
    stream.last_use = uses_;
    if (end <= stream.position) return std::nullopt;
    stream.position = end;
    stream.window = std::clamp(stream.window * 2, options_.bytes_min, options_.bytes_max);
    const std::uint64_t begin = std::max(stream.ahead, end);
    const std::uint64_t target = std::min(end + stream.window, disk_bytes_);
    // Not for every read a little more, but half a window at a time.
    if (target <= begin || (target - begin < stream.window / 2 && target < disk_bytes_)) return std::nullopt;
    stream.ahead = target;
    return DiskRange{begin, target - begin};
  }
  *oldest = {.position = end, .ahead = end, .window = 0, .last_use = uses_};
  return std::nullopt;
}

void ReadAhead::set_trace(std::vector<GrainRun> runs, std::uint64_t window_bytes) {
  replay_ = std::make_unique<TraceReplay>(std::move(runs), window_bytes);
}

void ReadAhead::start() {
  if (replay_ != nullptr) wake_replay();
}

void ReadAhead::follow(std::uint64_t offset, std::uint64_t bytes) {
  if (replay_ != nullptr && replay_->follow(offset, bytes)) wake_replay();
  const auto range = streams_.follow(offset, bytes);
  if (!range) return;
  for (std::uint64_t at = range->offset; at < range->offset + range->bytes; at += options_.job_bytes) {
    const std::uint64_t count = std::min(options_.job_bytes, range->offset + range->bytes - at);
    source_.run_in_background([weak = weak_from_this(), piece = DiskRange{at, count}] {
      if (const auto self = weak.lock()) self->bring({&piece, 1});
    });
  }
}

// One job at a time goes along the trace.
void ReadAhead::wake_replay() {
  if (is_replaying_.exchange(true)) return;
  const bool is_queued = source_.run_in_background([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->replay_some();
  });
  if (!is_queued) is_replaying_ = false;  // the guest's next read tries again
}

void ReadAhead::replay_some() {
  const auto runs = replay_->next(options_.job_bytes);
  std::vector<DiskRange> ranges;
  ranges.reserve(runs.size());
  for (const GrainRun& run : runs) {
    const std::uint64_t offset = std::uint64_t{run.first} * kGrainBytes;
    ranges.push_back({offset, std::min(std::uint64_t{run.count} * kGrainBytes, reader_->disk_bytes() - offset)});
  }
  bring(ranges);
  is_replaying_ = false;
  if (!runs.empty()) wake_replay();
}

// A failure here is the guest's when it reads the same.
void ReadAhead::bring(std::span<const DiskRange> ranges) {
  static_cast<void>(reader_->prefetch(ranges, ChunkSource::Keep::kInMemory));
}

}  // namespace atelier::image
