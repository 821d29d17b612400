#include "image/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>

#include "image/geometry.h"
#include "image/heal.h"
#include "image/image_record.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/trash.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

unsigned thread_count(unsigned asked) {
  return std::min(asked != 0 ? asked : std::max(1u, std::thread::hardware_concurrency()), 8u);
}

// What one thread uses again and again.
struct Scratch {
  // Decoded chunks; raw ones are hashed where they lie. The first batch of a pack is hashed together with the file.
  static constexpr std::size_t kPlainBytes = 32u << 20;

  std::vector<std::byte> file;
  std::unique_ptr<std::byte[]> plain = std::make_unique_for_overwrite<std::byte[]>(kPlainBytes);
  std::size_t plain_used = 0;
  std::vector<std::span<const std::byte>> inputs;
  std::vector<Digest> digests;
  std::vector<std::size_t> hashed;  // which entry inputs[i] is of
};

class Verification {
 public:
  Verification(Store& store, const VerifyOptions& options, TaskContext& task)
      : store_(store), options_(options), task_(task) {}

  Result<VerifyReport> run() {
    const bool heals = !options_.heal_from.empty();
    std::unique_ptr<FileLock> care;
    if (heals) care = TRY(store_.lock_care());
    TRY_DURING(list_packs(), "list the packs");
    progress_.phase = "Verifying";
    for (const BucketEntry& entry : packs_) progress_.bytes_total += entry.size_bytes;
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    threads.reserve(thread_count(options_.threads));
    for (unsigned i = 0; i < thread_count(options_.threads); ++i) {
      threads.emplace_back([&] {
        Scratch scratch;
        for (std::size_t at = next++; at < packs_.size() && !task_.stop_requested(); at = next++) {
          check_pack(packs_[at], scratch);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    TRY(task_.check());
    TRY(find_lost_packs());
    if (heals) TRY(heal());
    for (const BucketEntry& entry : TRY_DURING(store_.bucket().list(kImagePrefix), "list the images")) {
      TRY(task_.check());
      TRY(check_image(entry));
    }
    if (heals && images_are_whole_) TRY(throw_away_unknown());
    for (auto& [pack, problems] : pack_problems_) {
      for (std::string& what : problems) add_problem(pack_name(pack), std::move(what));
    }
    std::ranges::sort(report_.problems);
    std::ranges::sort(report_.healed);
    return report_;
  }

 private:
  bool is_chosen(const Digest& pack) const {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 8; ++i) number = number << 8 | pack.bytes[i];
    return number % options_.subsets == options_.subset;
  }

  // The trash first: what is purged in between is in it.
  Status list_packs() {
    const Trash trash = TRY(read_trash(store_.bucket()));
    for (BucketEntry& entry : TRY(store_.bucket().list(kPackPrefix))) {
      const auto pack = parse_pack_name(entry.name);
      if (!pack) add_problem(entry.name, "This is no name of a pack.");
      if (!pack || trash.holds(*pack)) continue;
      listed_.insert(*pack);
      if (is_chosen(*pack)) packs_.push_back(std::move(entry));
    }
    return {};
  }

  // Packs that the index names and that are not there.
  Status find_lost_packs() {
    for (const Digest& pack : TRY(store_.index().packs())) {
      if (listed_.contains(pack) || !is_chosen(pack)) continue;
      // Written since the packs were listed, unless it is gone.
      const auto size = store_.bucket().size(pack_name(pack));
      if (!size && size.error().code() == Code::kNotFound && TRY(store_.index().has_pack(pack))) {
        pack_problems_[pack].emplace_back("The pack is gone.");
      }
    }
    return {};
  }

  void add_problem(const std::string& object, std::string what) {
    const std::lock_guard lock(mutex_);
    ++report_.problem_count;
    if (report_.problems.size() < options_.problems_max) report_.problems.push_back({object, std::move(what)});
  }

  void add_pack_problem(const Digest& pack, std::string what) {
    const std::lock_guard lock(mutex_);
    pack_problems_[pack].push_back(std::move(what));
  }

  Status read_pack(const BucketEntry& entry, std::vector<std::byte>& file) {
    if (entry.size_bytes > 2 * kPackBytesMax) return fail(Code::kTooLarge, "The file is too large for a pack.");
    file.resize(entry.size_bytes);
    const std::size_t count = TRY(store_.bucket().get(entry.name, 0, file));
    file.resize(count);
    return {};
  }

  void check_pack(const BucketEntry& entry, Scratch& scratch) {
    const Digest pack = *parse_pack_name(entry.name);
    const Status read = read_pack(entry, scratch.file);
    if (!read && read.error().code() == Code::kNotFound) {  // swept and purged in the meantime, or lost
      const std::lock_guard lock(mutex_);
      listed_.erase(pack);
      return;
    }
    if (!read) return add_pack_problem(pack, read.error().message());
    const auto entries = parse_pack(scratch.file);
    if (!entries) {
      if (sha256(scratch.file) != pack) add_pack_problem(pack, "The file's digest is not its name.");
      return add_pack_problem(pack, entries.error().message());
    }
    const std::vector<Digest> bad = check_chunks(pack, *entries, scratch);
    const std::lock_guard lock(mutex_);
    for (const Digest& id : bad) bad_.emplace(pack, id);
    read_packs_.insert(pack);
    ++report_.packs;
    report_.pack_bytes += scratch.file.size();
    report_.chunks += entries->size();
    for (const PackEntry& chunk : *entries) report_.plain_bytes += chunk.plain_bytes;
    progress_.bytes_done += scratch.file.size();
    task_.report(progress_);
  }

  // Gives the chunks that are not what their ids say.
  std::vector<Digest> check_chunks(const Digest& pack, const std::vector<PackEntry>& entries, Scratch& scratch) {
    std::vector<Digest> bad;
    const auto add_bad = [&](const PackEntry& entry) {
      bad.push_back(entry.id);
      add_pack_problem(pack, fmt::format("The bytes stored for chunk {} are not that chunk.", entry.id.hex()));
    };
    constexpr std::size_t kWholeFile = SIZE_MAX;
    scratch.inputs.assign(1, scratch.file);
    scratch.hashed.assign(1, kWholeFile);
    scratch.plain_used = 0;
    const auto hash = [&] {
      scratch.digests.resize(scratch.inputs.size());
      sha256_each(scratch.inputs, scratch.digests);
      for (std::size_t i = 0; i < scratch.inputs.size(); ++i) {
        const std::size_t which = scratch.hashed[i];
        if (which == kWholeFile) {
          if (scratch.digests[i] != pack) add_pack_problem(pack, "The file's digest is not its name.");
        } else if (scratch.digests[i] != entries[which].id) {
          add_bad(entries[which]);
        }
      }
      scratch.inputs.clear();
      scratch.hashed.clear();
      scratch.plain_used = 0;
    };
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const PackEntry& entry = entries[i];
      const auto stored = std::span<const std::byte>(scratch.file).subspan(entry.offset, entry.stored_bytes);
      if (checksum(stored) != entry.checksum) {
        add_pack_problem(pack, fmt::format("Chunk {} has a wrong checksum.", entry.id.hex()));
      }
      std::span<const std::byte> plain = stored;
      bool decoded = stored.size() == entry.plain_bytes;
      if (entry.codec == Codec::kZstd) {
        if (scratch.plain_used + entry.plain_bytes > Scratch::kPlainBytes) hash();
        const std::span room(scratch.plain.get() + scratch.plain_used, entry.plain_bytes);
        decoded = decode_unchecked(entry.codec, stored, room);
        scratch.plain_used += entry.plain_bytes;
        plain = room;
      }
      if (!decoded) {
        add_bad(entry);
        continue;
      }
      scratch.inputs.push_back(plain);
      scratch.hashed.push_back(i);
    }
    hash();
    return bad;
  }

  Status heal() {
    std::vector<Digest> damaged;
    for (const auto& [pack, problems] : pack_problems_) damaged.push_back(pack);
    if (damaged.empty()) return {};
    const PackHealing healing = TRY_DURING(heal_packs(store_, options_.heal_from, damaged, task_), "heal the packs");
    report_.chunks_healed += healing.chunks_healed;
    count_as_healed(healing.healed);
    unknown_packs_ = healing.unknown;
    return {};
  }

  void count_as_healed(const std::vector<Digest>& packs) {
    for (const Digest& pack : packs) {
      for (std::string& what : pack_problems_[pack]) report_.healed.push_back({pack_name(pack), std::move(what)});
      pack_problems_.erase(pack);
    }
  }

  // They may have held anything; but no image lacks it.
  Status throw_away_unknown() {
    TRY(throw_away(store_, unknown_packs_));
    count_as_healed(unknown_packs_);
    return {};
  }

  Status check_image(const BucketEntry& entry) {
    const auto root = Digest::parse(std::string_view(entry.name).substr(kImagePrefix.size()));
    if (!root) {
      add_problem(entry.name, "This is no name of an image.");
      return {};
    }
    ++report_.images;
    const bool heals = !options_.heal_from.empty();
    auto record = find_image(store_, *root);
    if (record && !*record) return {};  // removed in the meantime
    Status whole = check_tree(*root, record ? &**record : nullptr);
    if (!whole && heals) {
      const std::string what = whole.error().message();
      const auto came = heal_image(store_, options_.heal_from, *root, task_);
      if (!came && came.error().code() == Code::kCanceled) return fail(came.error());
      if (came) {
        report_.chunks_healed += *came;
        whole = check_tree(*root, record ? &**record : nullptr);
        if (whole) report_.healed.push_back({entry.name, what});
      }
    }
    if (!record && record.error().code() == Code::kDataLoss && heals) {
      const std::string what = record.error().message();
      const auto healed = heal_record(store_, options_.heal_from, *root);
      if (healed) {
        report_.healed.push_back({entry.name, what});
        record = std::optional(*healed);
      }
    }
    if (!record) add_problem(entry.name, record.error().message());
    images_are_whole_ = images_are_whole_ && record && whole;
    if (!whole) add_problem(entry.name, whole.error().message());
    return {};
  }

  Status check_tree(const Digest& id, const ImageRecord* record) {
    const Root root = TRY(read_root(store_, id));
    if (record != nullptr && root.disk_bytes != record->disk_bytes) {
      return fail(Code::kDataLoss, "The record and the root differ about the disk's size.");
    }
    std::uint64_t missing = 0;
    std::string first;
    for (std::size_t i = 0; i < root.segments.size(); ++i) {
      TRY(task_.check());
      const Digest& segment = root.segments[i];
      if (segment.is_zero() || whole_segments_.contains(segment)) continue;
      const std::uint64_t missing_here = TRY(count_missing(segment, segment_bytes(root.disk_bytes, i), first));
      if (missing_here == 0) whole_segments_.insert(segment);
      missing += missing_here;
    }
    if (missing == 0) return {};
    return fail(Code::kDataLoss, fmt::format("The image lacks {} chunks; the first: {}.", missing, first));
  }

  Result<std::uint64_t> count_missing(const Digest& id, std::uint64_t bytes, std::string& first) {
    const auto segment = read_segment(store_, id, bytes);
    if (!segment) {
      if (first.empty()) first = segment.error().message();
      return std::uint64_t{1};
    }
    std::vector<Digest> ids;
    for (const SegmentEntry& entry : segment->entries) {
      if (!entry.is_hole()) ids.push_back(entry.chunk);
    }
    std::vector<std::optional<ChunkLocation>> locations;
    TRY(store_.index().locate_all(ids, locations));
    std::uint64_t missing = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (is_good(ids[i], locations[i])) continue;
      ++missing;
      if (first.empty()) first = fmt::format("chunk {} is missing or damaged", ids[i].hex());
    }
    return missing;
  }

  // The index says in which pack a reader looks for it. Only what is in no pack that was read here is read now: the
  // pack is damaged or lost, or was written since the packs were listed.
  bool is_good(const Digest& id, const std::optional<ChunkLocation>& location) {
    if (location && read_packs_.contains(location->pack)) return !bad_.contains({location->pack, id});
    if (location && listed_.contains(location->pack) && !is_chosen(location->pack)) return true;
    return store_.read_chunk(id).has_value();
  }

  Store& store_;
  const VerifyOptions options_;
  TaskContext& task_;
  std::vector<BucketEntry> packs_;  // that are read here
  std::mutex mutex_;
  std::unordered_set<Digest, DigestHash> listed_;             // guarded by mutex_: all packs, but not the trash
  VerifyReport report_;                                       // guarded by mutex_
  Progress progress_;                                         // guarded by mutex_
  std::map<Digest, std::vector<std::string>> pack_problems_;  // guarded by mutex_
  std::set<std::pair<Digest, Digest>> bad_;                   // guarded by mutex_: packs and chunks that do not decode
  std::unordered_set<Digest, DigestHash> read_packs_;         // guarded by mutex_: packs that were read
  std::unordered_set<Digest, DigestHash> whole_segments_;
  std::vector<Digest> unknown_packs_;
  bool images_are_whole_ = true;
};

}  // namespace

Result<VerifyReport> verify_store(Store& store, const VerifyOptions& options, TaskContext& task) {
  if (options.subsets == 0 || options.subset >= options.subsets) {
    return fail(Code::kInvalidArgument, "There is no such subset.");
  }
  if (!options.heal_from.empty() && store.access() == Access::kReadOnly) {
    return fail(Code::kFailedPrecondition, "A store that is open for reading only cannot be healed.");
  }
  Verification verification(store, options, task);
  return verification.run();
}

Result<StoreStats> store_stats(Store& store) {
  StoreStats stats;
  for (const BucketEntry& entry : TRY(store.bucket().list(kPackPrefix))) {
    ++stats.packs;
    stats.pack_bytes += entry.size_bytes;
  }
  for (const ImageRecord& record : TRY(list_images(store))) {
    ++stats.images;
    stats.disk_bytes += record.disk_bytes;
    stats.data_bytes += record.data_bytes;
  }
  TRY(store.index().for_each([&](const Digest&, const ChunkLocation& location) -> Status {
    ++stats.chunks;
    stats.plain_bytes += location.plain_bytes;
    stats.stored_bytes += location.stored_bytes;
    return {};
  }));
  return stats;
}

}  // namespace atelier::image
