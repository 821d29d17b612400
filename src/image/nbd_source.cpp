#include "image/nbd_source.h"

#include <fmt/format.h>
#include <libnbd.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace atelier::image {
namespace {

constexpr const char* kDepthContext = "qemu:allocation-depth";
// How soon a stop is seen while the server is silent.
constexpr int kPollMilliseconds = 100;
// NBD block status carries 32-bit lengths; keep well below.
constexpr std::uint64_t kStatusBytesMax = 1U << 30;

struct HandleCloser {
  void operator()(nbd_handle* handle) const { nbd_close(handle); }
};
using Handle = std::unique_ptr<nbd_handle, HandleCloser>;

// libnbd's own message can hold a socket's path: it goes to the log.
Error nbd_error(std::string_view doing) {
  const int saved_errno = nbd_get_errno();
  const char* message = nbd_get_error();
  log::warning("nbd: {}: {}", doing, message == nullptr ? "no message" : message);
  const Code code = saved_errno == ENOENT ? Code::kNotFound : Code::kUnavailable;
  return Error(code, fmt::format("The disk server failed to {}.", doing));
}

// What a request ended with. libnbd ends those in flight with ENOTCONN when the connection breaks.
Error request_error(int request_errno, std::string_view doing) {
  if (request_errno == ENOTCONN || request_errno == ESHUTDOWN) {
    return Error(Code::kUnavailable, "The disk server closed the connection.");
  }
  return errno_error(request_errno, doing);
}

// Lengths and flags of one meta context, as a block status answer brings them.
struct Described {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> extents;
  bool seen = false;

  std::uint64_t covered() const {
    std::uint64_t sum = 0;
    for (const auto& extent : extents) sum += extent.first;
    return sum;
  }
};

struct BlockStatus {
  Described allocation;
  Described depth;

  static int on_extents(void* self, const char* context, std::uint64_t, std::uint32_t* entries, std::size_t count,
                        int*) {
    auto* status = static_cast<BlockStatus*>(self);
    const std::string_view name = context;
    Described* described = name == LIBNBD_CONTEXT_BASE_ALLOCATION ? &status->allocation
                           : name == kDepthContext                ? &status->depth
                                                                  : nullptr;
    if (described == nullptr) return 0;
    described->seen = true;
    for (std::size_t i = 0; i + 1 < count; i += 2) described->extents.emplace_back(entries[i], entries[i + 1]);
    return 0;
  }
};

void append(std::vector<SourceExtent>& extents, const SourceExtent& next) {
  if (!extents.empty() && extents.back().content == next.content && extents.back().origin == next.origin) {
    extents.back().bytes += next.bytes;
  } else {
    extents.push_back(next);
  }
}

// Lays both descriptions over each other from `offset` on; gives how many bytes both cover. Extents at depth 1 to
// `layers` are local; 0 is in no layer.
std::uint64_t merge(const BlockStatus& status, std::uint64_t offset, std::uint64_t bytes_max, unsigned layers,
                    std::vector<SourceExtent>& out) {
  const Described whole{{{bytes_max, 0}}, true};
  const Described& allocation = status.allocation.seen ? status.allocation : whole;
  const Described all_local{{{bytes_max, 1}}, true};
  const Described& depth = status.depth.seen ? status.depth : all_local;
  const std::uint64_t end = std::min({allocation.covered(), depth.covered(), bytes_max});
  std::size_t a = 0;
  std::size_t d = 0;
  std::uint64_t a_end = allocation.extents.empty() ? 0 : allocation.extents[0].first;
  std::uint64_t d_end = depth.extents.empty() ? 0 : depth.extents[0].first;
  for (std::uint64_t at = 0; at < end;) {
    while (a_end <= at) a_end += allocation.extents[++a].first;
    while (d_end <= at) d_end += depth.extents[++d].first;
    const std::uint64_t next = std::min({a_end, d_end, end});
    const bool is_zero = (allocation.extents[a].second & LIBNBD_STATE_ZERO) != 0;
    const bool is_local = depth.extents[d].second >= 1 && depth.extents[d].second <= layers;
    append(out, {.offset = offset + at,
                 .bytes = next - at,
                 .content = is_zero ? SourceExtent::Content::kZero : SourceExtent::Content::kData,
                 .origin = is_local ? SourceExtent::Origin::kLocal : SourceExtent::Origin::kBacking});
    at = next;
  }
  return end;
}

// One read in flight; `buffer` stays in place while libnbd may write to it.
struct Request {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  std::size_t buffer = 0;
  bool done = false;
  int error = 0;
};

int on_completion(void* user_data, int* error) {
  auto* request = static_cast<Request*>(user_data);
  request->done = true;
  request->error = *error;
  return 1;  // retire the command
}

}  // namespace

class NbdSource::Impl {
 public:
  explicit Impl(NbdSourceOptions options) : options_(std::move(options)) {}

  Status connect(const TaskContext& task) {
    handles_.push_back(TRY(connect_one(task)));
    const auto size = nbd_get_size(handles_[0].get());
    if (size < 0) return fail(nbd_error("tell the disk's size"));
    disk_bytes_ = static_cast<std::uint64_t>(size);
    has_allocation_ = nbd_can_meta_context(handles_[0].get(), LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
    has_depth_ = nbd_can_meta_context(handles_[0].get(), kDepthContext) == 1;
    // A server that does not promise it may also serve one connection after the other.
    if (nbd_can_multi_conn(handles_[0].get()) != 1) return {};
    while (handles_.size() < options_.connections) handles_.push_back(TRY(connect_one(task)));
    return {};
  }

  Result<std::vector<SourceExtent>> extents(SourceRange range, const TaskContext& task) {
    CHECK(range.offset <= disk_bytes_ && range.bytes <= disk_bytes_ - range.offset);
    std::vector<SourceExtent> found;
    for (std::uint64_t at = 0; at < range.bytes;) {
      BlockStatus status;
      const std::uint64_t wanted = std::min(range.bytes - at, kStatusBytesMax);
      if (has_allocation_ || has_depth_) TRY(ask_status(range.offset + at, wanted, status, task));
      const std::uint64_t covered = merge(status, range.offset + at, wanted, options_.layers, found);
      if (covered == 0) return fail(Code::kUnavailable, "The disk server describes no extent of the disk.");
      at += covered;
    }
    return found;
  }

  Status read(std::span<const SourceRange> ranges, const Sink& sink, const TaskContext& task) {
    const Status status = read_all(ranges, sink, task);
    // Requests may still be in flight: only a closed connection no longer writes into the buffers.
    if (!status) handles_.clear();
    pending_.clear();
    return status;
  }

  std::uint64_t disk_bytes() const { return disk_bytes_; }
  bool knows_origin() const { return has_depth_; }

 private:
  Result<Handle> connect_one(const TaskContext& task) {
    Handle handle(nbd_create());
    if (!handle) return fail(nbd_error("be set up"));
    if (nbd_add_meta_context(handle.get(), LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
        nbd_add_meta_context(handle.get(), kDepthContext) < 0 ||
        nbd_aio_connect_uri(handle.get(), options_.uri.c_str()) < 0) {
      return fail(nbd_error("be reached"));
    }
    silent_since_ = std::chrono::steady_clock::now();
    while (nbd_aio_is_connecting(handle.get()) == 1) {
      nbd_handle* const one = handle.get();
      TRY(poll_once(std::span(&one, 1), task));
    }
    if (nbd_aio_is_ready(handle.get()) != 1) return fail(nbd_error("be reached"));
    return handle;
  }

  // Waits a moment for any connection and lets libnbd work.
  Status poll_once(std::span<nbd_handle* const> handles, const TaskContext& task) {
    TRY(task.check());
    std::vector<pollfd> fds;
    for (nbd_handle* const handle : handles) {
      const unsigned direction = nbd_aio_get_direction(handle);
      short events = 0;
      if ((direction & LIBNBD_AIO_DIRECTION_READ) != 0) events |= POLLIN;
      if ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0) events |= POLLOUT;
      fds.push_back({nbd_aio_get_fd(handle), events, 0});
    }
    const int count = ::poll(fds.data(), fds.size(), kPollMilliseconds);
    if (count < 0 && errno != EINTR) return fail(errno_error(errno, "wait for the disk server"));
    if (count <= 0) {
      if (std::chrono::steady_clock::now() - silent_since_ < options_.silence_max) return {};
      return fail(Code::kUnavailable, "The disk server does not answer.");
    }
    silent_since_ = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const unsigned direction = nbd_aio_get_direction(handles[i]);
      const bool can_read = (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
      int result = 0;
      if (can_read && (direction & LIBNBD_AIO_DIRECTION_READ) != 0) {
        result = nbd_aio_notify_read(handles[i]);
      } else if ((fds[i].revents & (POLLOUT | POLLHUP | POLLERR)) != 0 &&
                 (direction & LIBNBD_AIO_DIRECTION_WRITE) != 0) {
        result = nbd_aio_notify_write(handles[i]);
      }
      if (result < 0) return fail(nbd_error("answer"));
      if (nbd_aio_is_dead(handles[i]) == 1 || nbd_aio_is_closed(handles[i]) == 1) {
        return fail(Code::kUnavailable, "The disk server closed the connection.");
      }
    }
    return {};
  }

  Status poll_all(const TaskContext& task) {
    std::vector<nbd_handle*> raw;
    raw.reserve(handles_.size());
    for (const Handle& handle : handles_) raw.push_back(handle.get());
    return poll_once(raw, task);
  }

  Status ask_status(std::uint64_t offset, std::uint64_t bytes, BlockStatus& status, const TaskContext& task) {
    if (handles_.empty()) return broken();
    Request request;
    const nbd_extent_callback on_extents{BlockStatus::on_extents, &status, nullptr};
    const nbd_completion_callback on_done{on_completion, &request, nullptr};
    silent_since_ = std::chrono::steady_clock::now();
    if (nbd_aio_block_status(handles_[0].get(), bytes, offset, on_extents, on_done, 0) < 0) {
      return fail(nbd_error("describe the disk"));
    }
    while (!request.done) {
      if (const Status polled = poll_all(task); !polled) {
        handles_.clear();  // before `request` and `status` go out of scope
        return polled;
      }
    }
    if (request.error != 0) return fail(request_error(request.error, "describe the disk"));
    return {};
  }

  Status read_all(std::span<const SourceRange> ranges, const Sink& sink, const TaskContext& task) {
    if (handles_.empty()) return broken();
    if (buffers_.empty()) {
      for (unsigned i = 0; i < options_.requests_in_flight; ++i) {
        buffers_.push_back(std::make_unique_for_overwrite<std::byte[]>(options_.request_bytes));
      }
    }
    std::size_t range = 0;
    std::uint64_t at = 0;
    silent_since_ = std::chrono::steady_clock::now();
    while (range < ranges.size() || !pending_.empty()) {
      while (range < ranges.size() && pending_.size() < buffers_.size()) {
        const std::uint64_t left = ranges[range].bytes - at;
        const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, options_.request_bytes));
        if (bytes != 0) TRY(send(ranges[range].offset + at, bytes));
        at += bytes;
        if (at == ranges[range].bytes) ++range, at = 0;
      }
      while (!pending_.empty() && pending_.front().done) {
        TRY(task.check());
        const Request& front = pending_.front();
        if (front.error != 0) return fail(request_error(front.error, fmt::format("read the disk at {}", front.offset)));
        TRY(sink(front.offset, std::span<const std::byte>(buffers_[front.buffer].get(), front.bytes)));
        pending_.pop_front();
        // Room for another request: send it before waiting. The sink may have taken its time, which is no silence.
        silent_since_ = std::chrono::steady_clock::now();
        if (range < ranges.size()) break;
      }
      const bool is_full = range == ranges.size() || pending_.size() == buffers_.size();
      if (!pending_.empty() && !pending_.front().done && is_full) TRY(poll_all(task));
    }
    return {};
  }

  // Buffers are used in turn, as requests are delivered in turn.
  Status send(std::uint64_t offset, std::uint32_t bytes) {
    Request& request = pending_.emplace_back();  // a deque leaves the others in place
    request.offset = offset;
    request.bytes = bytes;
    request.buffer = next_buffer_++ % buffers_.size();
    nbd_handle* const handle = handles_[next_handle_++ % handles_.size()].get();
    const nbd_completion_callback on_done{on_completion, &request, nullptr};
    if (nbd_aio_pread(handle, buffers_[request.buffer].get(), bytes, offset, on_done, 0) < 0) {
      return fail(nbd_error("take a request"));
    }
    return {};
  }

  static std::unexpected<Error> broken() {
    return fail(Code::kUnavailable, "The connection to the disk server was given up after a failure.");
  }

  const NbdSourceOptions options_;
  std::uint64_t disk_bytes_ = 0;
  bool has_allocation_ = false;
  bool has_depth_ = false;
  std::vector<std::unique_ptr<std::byte[]>> buffers_;
  std::deque<Request> pending_;
  std::size_t next_buffer_ = 0;
  std::size_t next_handle_ = 0;
  std::chrono::steady_clock::time_point silent_since_;
  std::vector<Handle> handles_;  // last: closed before buffers and requests go
};

NbdSource::NbdSource(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NbdSource::~NbdSource() = default;

Result<std::unique_ptr<NbdSource>> NbdSource::open(NbdSourceOptions options, const TaskContext& task) {
  if (options.connections == 0 || options.requests_in_flight == 0 || options.request_bytes == 0) {
    return fail(Code::kInvalidArgument, "Connections, requests in flight and request size must not be 0.");
  }
  auto impl = std::make_unique<Impl>(std::move(options));
  TRY(impl->connect(task));
  return std::unique_ptr<NbdSource>(new NbdSource(std::move(impl)));
}

std::uint64_t NbdSource::disk_bytes() const { return impl_->disk_bytes(); }
bool NbdSource::knows_origin() const { return impl_->knows_origin(); }
Result<std::vector<SourceExtent>> NbdSource::extents(SourceRange range, const TaskContext& task) {
  return impl_->extents(range, task);
}
Status NbdSource::read(std::span<const SourceRange> ranges, const Sink& sink, const TaskContext& task) {
  return impl_->read(ranges, sink, task);
}

}  // namespace atelier::image
