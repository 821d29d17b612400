// Turns a stream of stored chunks into durable, indexed packs. One pack fills while the two before it are made durable.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/error.h"
#include "image/bounded_queue.h"
#include "image/claims.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/store.h"

namespace atelier::image {

class PackStream {
 public:
  // Releases the claims on a pack's chunks, from its own threads, once they are durable and in the index.
  PackStream(Store& store, Claims& claims);
  // Drops what is not in a full pack.
  ~PackStream();
  PackStream(const PackStream&) = delete;
  PackStream& operator=(const PackStream&) = delete;

  // From one thread. Waits while three packs are full. Gives the error of an earlier pack, again and again.
  Status append(const Digest& id, Codec codec, std::uint32_t plain_bytes, std::span<const std::byte> stored);
  // Makes everything durable and indexed, and the index durable. No append may follow.
  // `segments`: known to be whole once all is indexed; the index remembers them.
  Status finish(std::span<const WholeSegment> segments = {});
  // The index's generation when this stream began; for commit_image().
  std::uint64_t begun_at() const { return begun_at_; }
  // Stored bytes appended so far. Any thread.
  std::uint64_t stored_bytes() const { return stored_bytes_.load(std::memory_order_relaxed); }

 private:
  // Two, so that the disk has work while one hashes its pack or waits for the disk to confirm it.
  static constexpr std::size_t kWriters = 2;

  void write_packs();
  void join();
  Status write_pack(PackBuilder& builder);
  Status status();

  Store& store_;
  const std::uint64_t begun_at_;
  Claims& claims_;
  std::unique_ptr<PackBuilder> filling_;
  BoundedQueue<std::unique_ptr<PackBuilder>> full_{1};
  BoundedQueue<std::unique_ptr<PackBuilder>> empty_{kWriters + 1};
  std::atomic<std::uint64_t> stored_bytes_{0};
  std::mutex mutex_;
  std::optional<Error> error_;  // guarded by mutex_
  std::array<std::thread, kWriters> writers_;
};

}  // namespace atelier::image
