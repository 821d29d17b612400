// Where readers of a store's images get their chunks from: memory, then the host's cache file, then the store, then the
// stores of other regions. However many ask for a chunk at once, it is read once.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "image/digest.h"
#include "image/disk_cache.h"
#include "image/lru_cache.h"
#include "image/store.h"

namespace atelier::image {

struct ChunkSourceOptions {
  std::size_t memory_bytes = 64u << 20;   // decoded chunks kept in memory
  std::optional<DiskCacheOptions> cache;  // none: no cache file
  unsigned attempts = 4;                  // at a store that fails otherwise than by wrong or missing bytes
  std::chrono::milliseconds pause{20};    // before the second attempt; four times as long before each further one
  std::vector<std::filesystem::path> heal_from;         // folders of stores to ask for a chunk that this one has lost
  std::chrono::milliseconds heal_open_interval{10000};  // a store of those that does not open is tried again then
  std::uint32_t run_bytes_max = 2u << 20;   // chunks that lie together in a pack are read together, up to this
  std::uint32_t gap_bytes_max = 16u << 10;  // and over gaps of this
  unsigned threads = 2;                     // that read ahead
  std::size_t jobs_max = 64;                // waiting for them
};

struct FetchedChunk {
  std::shared_ptr<const std::vector<std::byte>> bytes;
  bool was_healed = false;  // its store has lost it; this is another region's copy
};

// Totals since the start.
struct ReadCounts {
  std::atomic<std::uint64_t> store_reads = 0, store_bytes = 0, store_chunks = 0;  // of packs; a read may be many chunks
  std::atomic<std::uint64_t> cache_file_chunks = 0, memory_chunks = 0;
  std::atomic<std::uint64_t> shared_waits = 0;  // for a chunk that another was fetching already
  std::atomic<std::uint64_t> retries = 0, healed_chunks = 0, failed_chunks = 0;
};

// Thread-safe; the store must outlive it.
class ChunkSource {
 public:
  enum class Keep { kInMemory, kInCacheFile };

  // A cache file that cannot be used is logged; all is served without it.
  ChunkSource(Store& store, const ChunkSourceOptions& options);
  ~ChunkSource();
  ChunkSource(const ChunkSource&) = delete;
  ChunkSource& operator=(const ChunkSource&) = delete;

  Store& store() { return store_; }
  // The chunks in the order asked for, every digest checked. kDataLoss when one is lost everywhere; else the store's
  // error after the last attempt.
  Result<std::vector<FetchedChunk>> fetch(std::span<const Digest> ids, Keep keep = Keep::kInMemory);
  // The same for one.
  Result<FetchedChunk> fetch(const Digest& id);
  // Is it in the cache file?
  bool is_in_cache_file(const Digest& id) const { return cache_ != nullptr && cache_->contains(id); }
  bool has_cache_file() const { return cache_ != nullptr; }
  // Runs `job` on one of the threads that read ahead; false, and it is dropped, when too many wait.
  bool run_in_background(std::function<void()> job);
  const ReadCounts& counts() const { return counts_; }

 private:
  using Outcome = Result<FetchedChunk>;
  class Claims;
  struct Located;

  Result<std::vector<std::byte>> read_with_retries(const Digest& id);
  std::optional<std::vector<std::byte>> heal(const Digest& id);
  Store* heal_store(std::size_t index);
  void fulfil(Claims& claims);
  void fulfil_from_cache(Claims& claims);
  void fulfil_from_packs(Claims& claims);
  void read_run(Claims& claims, std::span<const Located> run);
  Outcome fetch_alone(const Digest& id);
  void work(const std::stop_token& stop);

  struct HealStore {
    std::unique_ptr<Store> store;
    std::chrono::steady_clock::time_point try_at;
  };

  Store& store_;
  const ChunkSourceOptions options_;
  std::unique_ptr<DiskCache> cache_;  // may be none
  LruCache<std::vector<std::byte>> memory_;
  ReadCounts counts_;
  std::mutex mutex_;
  std::unordered_map<Digest, std::shared_future<Outcome>, DigestHash> in_flight_;  // guarded by mutex_
  std::mutex heal_mutex_;
  std::vector<HealStore> heal_stores_;  // guarded by heal_mutex_
  std::mutex jobs_mutex_;
  std::condition_variable_any job_waits_;
  std::deque<std::function<void()>> jobs_;  // guarded by jobs_mutex_
  std::vector<std::jthread> workers_;       // guarded by jobs_mutex_; started with the first job. The last member
};

}  // namespace atelier::image
