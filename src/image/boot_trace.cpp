#include "image/boot_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "image/codec.h"
#include "image/geometry.h"
#include "image/wire.h"

namespace atelier::image {
namespace {

constexpr std::string_view kMagic = "ATTRAC01";
static_assert(kMagic.size() == 8);
constexpr std::size_t kHeadBytes = 8 + 32 + 4;
constexpr std::size_t kRunBytes = 8;
constexpr std::size_t kCheckBytes = 8;
constexpr std::uint32_t kRunGrainsMax = (1u << 20) / kGrainBytes;  // longer ones are cut, to be brought piece by piece

std::unexpected<Error> damaged() { return fail(Code::kDataLoss, "The bytes are no boot trace of this image."); }

std::uint64_t bytes_of(const GrainRun& run) { return std::uint64_t{run.count} * kGrainBytes; }

}  // namespace

std::uint64_t trace_bytes(std::span<const GrainRun> runs) {
  std::uint64_t sum = 0;
  for (const GrainRun& run : runs) sum += bytes_of(run);
  return sum;
}

std::string trace_name(const Digest& root) { return "traces/" + root.hex(); }

std::vector<std::byte> encode_trace(const Digest& root, std::span<const GrainRun> runs) {
  std::vector<std::byte> bytes;
  // Byte by byte: GCC 12 warns wrongly of the insertion of a range here.
  for (const char letter : kMagic) bytes.push_back(static_cast<std::byte>(letter));
  for (const std::uint8_t byte : root.bytes) bytes.push_back(std::byte{byte});
  put_number(bytes, static_cast<std::uint32_t>(runs.size()));
  for (const GrainRun& run : runs) {
    put_number(bytes, run.first);
    put_number(bytes, run.count);
  }
  put_number(bytes, checksum(bytes));
  return bytes;
}

Result<std::vector<GrainRun>> decode_trace(const Digest& root, std::uint64_t disk_bytes,
                                           std::span<const std::byte> bytes) {
  if (bytes.size() < kHeadBytes + kCheckBytes) return damaged();
  const auto body = bytes.first(bytes.size() - kCheckBytes);
  if (WireReader(bytes.subspan(body.size())).number<std::uint64_t>() != checksum(body)) return damaged();
  WireReader reader(body);
  if (!reader.text(kMagic) || reader.digest() != root) return damaged();
  const auto count = reader.number<std::uint32_t>();
  if (count > kTraceRunsMax || reader.left() != count * kRunBytes) return damaged();
  const std::uint64_t disk_grains = (disk_bytes + kGrainBytes - 1) / kGrainBytes;
  std::vector<GrainRun> runs(count);
  for (GrainRun& run : runs) {
    run.first = reader.number<std::uint32_t>();
    run.count = reader.number<std::uint32_t>();
    if (run.count == 0 || std::uint64_t{run.first} + run.count > disk_grains) return damaged();
  }
  return runs;
}

Result<std::vector<GrainRun>> read_trace(Bucket& bucket, const Digest& root, std::uint64_t disk_bytes) {
  const auto bytes = TRY(get_all(bucket, trace_name(root), kHeadBytes + kTraceRunsMax * kRunBytes + kCheckBytes));
  return decode_trace(root, disk_bytes, bytes);
}

TraceRecorder::TraceRecorder(const TraceOptions& options)
    : options_(options), end_(std::chrono::steady_clock::now() + options.duration) {}

void TraceRecorder::record(std::uint64_t offset, std::uint64_t bytes) {
  if (bytes == 0 || std::chrono::steady_clock::now() >= end_) return;
  const std::uint64_t last = (offset + bytes - 1) / kGrainBytes;
  const std::lock_guard lock(mutex_);
  for (std::uint64_t at = offset / kGrainBytes; at <= last && !is_full_; ++at) {
    const auto grain = static_cast<std::uint32_t>(at);
    if (!seen_.insert(grain).second) continue;
    const bool follows = !runs_.empty() && runs_.back().first + std::uint64_t{runs_.back().count} == grain;
    if (!follows) ++jumps_;
    if (follows && runs_.back().count < kRunGrainsMax) {
      ++runs_.back().count;
    } else {
      runs_.push_back({grain, 1});
    }
    is_full_ = runs_.size() >= kTraceRunsMax || seen_.size() * std::uint64_t{kGrainBytes} >= options_.bytes_max;
  }
}

bool TraceRecorder::is_over() const {
  const std::lock_guard lock(mutex_);
  return is_full_ || std::chrono::steady_clock::now() >= end_;
}

std::optional<std::vector<GrainRun>> TraceRecorder::trace() const {
  const std::lock_guard lock(mutex_);
  const std::uint64_t bytes = seen_.size() * std::uint64_t{kGrainBytes};
  if (bytes < options_.bytes_min || bytes > jumps_ * options_.jump_bytes) return std::nullopt;
  return runs_;
}

TraceReplay::TraceReplay(std::vector<GrainRun> runs, std::uint64_t window_bytes)
    : runs_(std::move(runs)), window_bytes_(window_bytes) {
  std::uint64_t start = 0;
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    starts_.push_back(start);
    start += bytes_of(runs_[i]);
    by_first_.emplace(runs_[i].first, i);
  }
}

// Under mutex_.
bool TraceReplay::may_go_on() const { return next_ < runs_.size() && starts_[next_] < starts_[guest_] + window_bytes_; }

bool TraceReplay::follow(std::uint64_t offset, std::uint64_t bytes) {
  if (bytes == 0) return false;
  const std::uint64_t first = offset / kGrainBytes;
  const std::uint64_t last = (offset + bytes - 1) / kGrainBytes;
  const std::lock_guard lock(mutex_);
  auto run = by_first_.upper_bound(static_cast<std::uint32_t>(last));
  while (run != by_first_.begin()) {
    --run;
    const GrainRun& found = runs_[run->second];
    if (std::uint64_t{found.first} + found.count <= first) break;  // runs do not overlap
    guest_ = std::max(guest_, run->second);
  }
  return may_go_on();
}

std::vector<GrainRun> TraceReplay::next(std::uint64_t bytes) {
  std::vector<GrainRun> found;
  const std::lock_guard lock(mutex_);
  // What the guest has passed it has read itself.
  next_ = std::max(next_, guest_);
  std::uint64_t sum = 0;
  while (sum < bytes && may_go_on()) {
    sum += bytes_of(runs_[next_]);
    found.push_back(runs_[next_++]);
  }
  return found;
}

}  // namespace atelier::image
