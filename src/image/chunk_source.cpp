#include "image/chunk_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "image/codec.h"
#include "image/index.h"
#include "image/pack.h"

namespace atelier::image {

// What one fetch() has taken upon itself to bring. Whatever happens, those who wait for it get an answer.
class ChunkSource::Claims {
 public:
  Claims(ChunkSource& source, Keep keep) : source_(source), keep_(keep) {}
  ~Claims() {
    for (std::size_t i = 0; i < ids_.size(); ++i) {
      if (!is_done_[i]) settle(i, fail(Code::kInternal, fmt::format("Chunk {} was not read.", ids_[i].hex())));
    }
  }
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  // Under the source's mutex.
  std::shared_future<Outcome> add(const Digest& id) {
    ids_.push_back(id);
    is_done_.push_back(false);
    return promises_.emplace_back().get_future().share();
  }
  std::size_t size() const { return ids_.size(); }
  const Digest& id(std::size_t i) const { return ids_[i]; }
  bool is_done(std::size_t i) const { return is_done_[i]; }
  Keep keep() const { return keep_; }

  void settle(std::size_t i, Outcome outcome) {
    is_done_[i] = true;
    if (outcome && keep_ == Keep::kInMemory) source_.memory_.insert(ids_[i], outcome->bytes, outcome->bytes->size());
    {
      // After it is in memory: who looks in between finds it there.
      const std::lock_guard lock(source_.mutex_);
      source_.in_flight_.erase(ids_[i]);
    }
    promises_[i].set_value(std::move(outcome));
  }
  void settle_from_store(std::size_t i, std::vector<std::byte> bytes, bool was_healed) {
    auto shared = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    settle(i, FetchedChunk{shared, was_healed});
    if (source_.cache_ != nullptr) source_.cache_->insert(ids_[i], *shared);
  }

 private:
  ChunkSource& source_;
  const Keep keep_;
  std::vector<Digest> ids_;
  std::vector<bool> is_done_;
  std::deque<std::promise<Outcome>> promises_;
};

struct ChunkSource::Located {
  ChunkLocation location;
  std::size_t claim = 0;
};

ChunkSource::ChunkSource(Store& store, const ChunkSourceOptions& options)
    : store_(store), options_(options), memory_(options.memory_bytes), heal_stores_(options.heal_from.size()) {
  if (!options.cache) return;
  auto opened = DiskCache::open(*options.cache);
  if (opened) {
    cache_ = std::move(*opened);
    log::info("chunk cache: {} chunks from before", cache_->size());
  } else {
    log::warning("chunk cache: {}; images are served without it", opened.error().message());
  }
}

ChunkSource::~ChunkSource() {
  std::vector<std::jthread> workers;
  {
    const std::lock_guard lock(jobs_mutex_);
    workers.swap(workers_);
    jobs_.clear();
  }
}

Result<FetchedChunk> ChunkSource::fetch(const Digest& id) {
  auto chunks = TRY(fetch({&id, 1}));
  return std::move(chunks.front());
}

Result<std::vector<FetchedChunk>> ChunkSource::fetch(std::span<const Digest> ids, Keep keep) {
  std::vector<FetchedChunk> chunks(ids.size());
  std::vector<std::pair<std::size_t, std::shared_future<Outcome>>> awaited;
  {
    Claims claims(*this, keep);
    std::uint64_t shared = 0;
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < ids.size(); ++i) {
        const auto flight = in_flight_.find(ids[i]);
        if (flight != in_flight_.end()) {
          ++shared;
          awaited.emplace_back(i, flight->second);
          continue;
        }
        chunks[i].bytes = memory_.find(ids[i]);
        if (chunks[i].bytes != nullptr) continue;
        const auto future = claims.add(ids[i]);
        in_flight_.emplace(ids[i], future);
        awaited.emplace_back(i, future);
      }
    }
    counts_.shared_waits += shared;
    counts_.memory_chunks += ids.size() - awaited.size();
    fulfil(claims);
  }
  // Only now, with all our own settled: two that wait for each other cannot be.
  for (auto& [i, future] : awaited) {
    const Outcome& outcome = future.get();
    if (!outcome) return fail(outcome.error());
    chunks[i] = *outcome;
  }
  return chunks;
}

void ChunkSource::fulfil(Claims& claims) {
  if (claims.size() == 0) return;
  if (cache_ != nullptr) fulfil_from_cache(claims);
  fulfil_from_packs(claims);
  // What is left is damaged, gone, not in the index yet, or the store fails: slowly and one by one.
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (claims.is_done(i)) continue;
    auto outcome = fetch_alone(claims.id(i));
    if (outcome && cache_ != nullptr) cache_->insert(claims.id(i), *outcome->bytes);
    claims.settle(i, std::move(outcome));
  }
}

void ChunkSource::fulfil_from_cache(Claims& claims) {
  for (std::size_t i = 0; i < claims.size(); ++i) {
    auto bytes = cache_->find(claims.id(i));
    if (!bytes) continue;
    ++counts_.cache_file_chunks;
    claims.settle(i, FetchedChunk{std::make_shared<const std::vector<std::byte>>(std::move(*bytes)), false});
  }
}

void ChunkSource::fulfil_from_packs(Claims& claims) {
  std::vector<Located> located;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (claims.is_done(i)) continue;
    const auto location = store_.index().find(claims.id(i));
    if (location && *location) located.push_back({**location, i});
  }
  const auto order = [](const Located& one) { return std::tie(one.location.pack, one.location.offset); };
  std::ranges::sort(located, {}, order);
  for (std::size_t begin = 0; begin < located.size();) {
    const ChunkLocation& first = located[begin].location;
    std::size_t end = begin + 1;
    for (; end < located.size(); ++end) {
      const ChunkLocation& last = located[end - 1].location;
      const ChunkLocation& next = located[end].location;
      const bool is_near = next.pack == first.pack &&
                           next.offset <= std::uint64_t{last.offset} + last.stored_bytes + options_.gap_bytes_max &&
                           std::uint64_t{next.offset} + next.stored_bytes - first.offset <= options_.run_bytes_max;
      if (!is_near) break;
    }
    read_run(claims, std::span(located).subspan(begin, end - begin));
    begin = end;
  }
}

// One read of a pack. What cannot be read or is wrong stays unsettled.
void ChunkSource::read_run(Claims& claims, std::span<const Located> run) {
  const ChunkLocation& first = run.front().location;
  std::uint64_t end = 0;
  for (const Located& one : run) end = std::max(end, std::uint64_t{one.location.offset} + one.location.stored_bytes);
  std::vector<std::byte> stored(static_cast<std::size_t>(end - first.offset));
  const auto count = store_.bucket().get(pack_name(first.pack), first.offset, stored);
  ++counts_.store_reads;
  if (!count) return;
  counts_.store_bytes += *count;
  for (const Located& one : run) {
    const std::size_t skip = one.location.offset - first.offset;
    if (skip + one.location.stored_bytes > *count) continue;
    const auto bytes = std::span(stored).subspan(skip, one.location.stored_bytes);
    auto plain = decode_chunk(claims.id(one.claim), one.location.codec, one.location.plain_bytes, bytes);
    if (!plain) continue;
    ++counts_.store_chunks;
    claims.settle_from_store(one.claim, std::move(*plain), false);
  }
}

ChunkSource::Outcome ChunkSource::fetch_alone(const Digest& id) {
  auto read = read_with_retries(id);
  bool was_healed = false;
  if (!read) {
    if (auto healed = heal(id)) {
      read = std::move(*healed);
      was_healed = true;
      ++counts_.healed_chunks;
    }
  }
  if (!read) {
    ++counts_.failed_chunks;
    return fail(read.error());
  }
  return FetchedChunk{std::make_shared<const std::vector<std::byte>>(std::move(*read)), was_healed};
}

Result<std::vector<std::byte>> ChunkSource::read_with_retries(const Digest& id) {
  auto pause = options_.pause;
  for (unsigned attempt = 1;; ++attempt) {
    auto bytes = store_.read_chunk(id);
    ++counts_.store_reads;
    if (bytes) {
      ++counts_.store_chunks;
      counts_.store_bytes += bytes->size();
      return bytes;
    }
    // Wrong or missing bytes do not become right by asking again.
    if (bytes.error().code() == Code::kDataLoss || attempt >= options_.attempts) return bytes;
    ++counts_.retries;
    std::this_thread::sleep_for(pause);
    pause *= 4;
  }
}

std::optional<std::vector<std::byte>> ChunkSource::heal(const Digest& id) {
  for (std::size_t i = 0; i < heal_stores_.size(); ++i) {
    Store* const other = heal_store(i);
    if (other == nullptr) continue;
    auto bytes = other->read_chunk(id);
    if (bytes) return std::move(*bytes);
  }
  return std::nullopt;
}

// Opened when it is first needed: the other store may not be there when this one starts to serve.
Store* ChunkSource::heal_store(std::size_t index) {
  const std::lock_guard lock(heal_mutex_);
  HealStore& heal = heal_stores_[index];
  const auto time = std::chrono::steady_clock::now();
  if (heal.store != nullptr || time < heal.try_at) return heal.store.get();
  heal.try_at = time + options_.heal_open_interval;
  auto opened = open_directory_store(options_.heal_from[index], Access::kReadOnly);
  if (opened) {
    heal.store = std::move(*opened);
  } else {
    log::warning("a store to heal from cannot be opened: {}", opened.error().message());
  }
  return heal.store.get();
}

bool ChunkSource::run_in_background(std::function<void()> job) {
  const std::lock_guard lock(jobs_mutex_);
  if (options_.threads == 0 || jobs_.size() >= options_.jobs_max) return false;
  while (workers_.size() < options_.threads) {
    workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }
  jobs_.push_back(std::move(job));
  job_waits_.notify_one();
  return true;
}

void ChunkSource::work(const std::stop_token& stop) {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(jobs_mutex_);
      if (!job_waits_.wait(lock, stop, [&] { return !jobs_.empty(); })) return;
      if (stop.stop_requested()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace atelier::image
