// Reads a disk that an NBD server offers: its size, which parts hold data and which were written in the topmost layer,
// and its bytes in disk order over several connections with a bounded number of requests in flight.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/task_context.h"

namespace atelier::image {

// A stretch of the disk as the server describes it.
struct SourceExtent {
  enum class Content { kData, kZero };     // zero: reads as zeros
  enum class Origin { kLocal, kBacking };  // local: written (also with zeros) in one of the topmost layers
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  Content content = Content::kData;
  Origin origin = Origin::kLocal;

  bool operator==(const SourceExtent&) const = default;
};

struct SourceRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct NbdSourceOptions {
  std::string uri;
  unsigned connections = 2;  // at most; one when the server does not promise that several see the same disk
  unsigned requests_in_flight = 32;
  std::uint32_t request_bytes = 512U << 10;
  unsigned layers = 1;  // the topmost ones that count as local; above a running VM's overlay lies a scratch file
  // Without any answer for so long the server counts as dead.
  std::chrono::seconds silence_max{120};
};

// One thread at a time. After a failure every further call fails: open a new one.
class NbdSource {
 public:
  // kUnavailable when the server does not answer, kCanceled when `task` is stopped meanwhile, kInvalidArgument for
  // options of 0.
  static Result<std::unique_ptr<NbdSource>> open(NbdSourceOptions options, const TaskContext& task);
  ~NbdSource();
  NbdSource(const NbdSource&) = delete;
  NbdSource& operator=(const NbdSource&) = delete;

  std::uint64_t disk_bytes() const;
  // Does the server tell the topmost layer's writes (qemu:allocation-depth)? If not, every extent counts as local.
  bool knows_origin() const;

  // Covers the range exactly and in order; neighbours differ. All data where the server tells nothing (no
  // base:allocation). The range must lie inside the disk.
  Result<std::vector<SourceExtent>> extents(SourceRange range, const TaskContext& task);

  using Sink = std::function<Status(std::uint64_t offset, std::span<const std::byte> bytes)>;
  // Reads the ranges, which ascend and lie inside the disk, and hands their bytes to `sink` in that order, in pieces of
  // at most request_bytes. Ends with the first failure of server or sink.
  Status read(std::span<const SourceRange> ranges, const Sink& sink, const TaskContext& task);

 private:
  class Impl;
  explicit NbdSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::image
