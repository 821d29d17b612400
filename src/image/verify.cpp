#include "image/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_set>

#include "image/geometry.h"
#include "image/image_record.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

unsigned thread_count(unsigned asked) {
  return std::min(asked != 0 ? asked : std::max(1u, std::thread::hardware_concurrency()), 8u);
}

class Verification {
 public:
  Verification(Store& store, const VerifyOptions& options, TaskContext& task)
      : store_(store), options_(options), task_(task) {}

  Result<VerifyReport> run() {
    const auto packs = TRY_DURING(store_.bucket().list(kPackPrefix), "list the packs");
    const auto images = TRY_DURING(store_.bucket().list("images/"), "list the images");
    progress_.phase = "Verifying";
    for (const BucketEntry& entry : packs) progress_.bytes_total += entry.size_bytes;
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    threads.reserve(thread_count(options_.threads));
    for (unsigned i = 0; i < thread_count(options_.threads); ++i) {
      threads.emplace_back([&] {
        for (std::size_t at = next++; at < packs.size() && !task_.stop_requested(); at = next++) check_pack(packs[at]);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const BucketEntry& entry : images) {
      TRY(task_.check());
      check_image(entry);
    }
    TRY(task_.check());
    std::ranges::sort(report_.problems, {}, &Problem::object);
    return report_;
  }

 private:
  void add_problem(const std::string& object, std::string what) {
    const std::lock_guard lock(mutex_);
    ++report_.problem_count;
    if (report_.problems.size() < options_.problems_max) report_.problems.push_back({object, std::move(what)});
  }

  void check_pack(const BucketEntry& entry) {
    const auto pack = parse_pack_name(entry.name);
    if (!pack) return add_problem(entry.name, "This is no name of a pack.");
    const auto file = get_all(store_.bucket(), entry.name, 2 * kPackBytesMax);
    if (!file) return add_problem(entry.name, file.error().message());
    if (sha256(*file) != *pack) add_problem(entry.name, "The file's digest is not its name.");
    const auto entries = parse_pack(*file);
    if (!entries) return add_problem(entry.name, entries.error().message());
    std::vector<Digest> bad;
    std::uint64_t plain_bytes = 0;
    for (const PackEntry& chunk : *entries) {
      const auto stored = std::span(*file).subspan(chunk.offset, chunk.stored_bytes);
      const bool sums = checksum(stored) == chunk.checksum;
      const auto plain = decode_chunk(chunk.id, chunk.codec, chunk.plain_bytes, stored);
      if (!plain) add_problem(entry.name, plain.error().message());
      if (plain && !sums) add_problem(entry.name, fmt::format("Chunk {} has a wrong checksum.", chunk.id.hex()));
      if (!plain) bad.push_back(chunk.id);
      plain_bytes += chunk.plain_bytes;
    }
    const std::lock_guard lock(mutex_);
    for (const Digest& id : bad) bad_.emplace(*pack, id);
    read_packs_.insert(*pack);
    ++report_.packs;
    report_.pack_bytes += file->size();
    report_.chunks += entries->size();
    report_.plain_bytes += plain_bytes;
    progress_.bytes_done += file->size();
    task_.report(progress_);
  }

  void check_image(const BucketEntry& entry) {
    const auto root = Digest::parse(std::string_view(entry.name).substr(std::string_view("images/").size()));
    if (!root) return add_problem(entry.name, "This is no name of an image.");
    ++report_.images;
    const auto record = find_image(store_, *root);
    if (!record) return add_problem(entry.name, record.error().message());
    if (!*record) return;  // removed in the meantime
    const Status whole = check_tree(**record);
    if (!whole) add_problem(entry.name, whole.error().message());
  }

  Status check_tree(const ImageRecord& record) {
    const Root root = TRY(read_root(store_, record.root));
    if (root.disk_bytes != record.disk_bytes) {
      return fail(Code::kDataLoss, "The record and the root differ about the disk's size.");
    }
    std::uint64_t missing = 0;
    std::string first;
    for (std::size_t i = 0; i < root.segments.size(); ++i) {
      TRY(task_.check());
      const Digest& id = root.segments[i];
      const std::uint64_t bytes = segment_bytes(root.disk_bytes, i);
      if (id.is_zero() || whole_segments_.contains(id)) continue;
      const auto segment = read_segment(store_, id, bytes);
      std::uint64_t missing_here = segment ? 0 : 1;
      if (!segment && first.empty()) first = segment.error().message();
      for (const SegmentEntry& entry : segment ? segment->entries : std::vector<SegmentEntry>{}) {
        if (entry.is_hole() || chunk_is_there(entry.chunk)) continue;
        ++missing_here;
        if (first.empty()) first = fmt::format("chunk {} is missing or damaged", entry.chunk.hex());
      }
      if (missing_here == 0) whole_segments_.insert(id);
      missing += missing_here;
    }
    if (missing == 0) return {};
    return fail(Code::kDataLoss, fmt::format("The image lacks {} chunks; the first: {}.", missing, first));
  }

  // The index says in which pack a reader looks for it. Only what is in no pack that was read here is read now: the
  // pack is damaged or lost, or was written since the packs were listed.
  bool chunk_is_there(const Digest& id) {
    const auto location = store_.index().find(id);
    if (!location) return false;
    if (*location && read_packs_.contains((*location)->pack)) return !bad_.contains({(*location)->pack, id});
    return store_.read_chunk(id).has_value();
  }

  Store& store_;
  const VerifyOptions options_;
  TaskContext& task_;
  std::mutex mutex_;
  VerifyReport report_;                      // guarded by mutex_
  Progress progress_;                        // guarded by mutex_
  std::set<std::pair<Digest, Digest>> bad_;  // guarded by mutex_: packs and chunks of theirs that do not decode
  std::unordered_set<Digest, DigestHash> read_packs_;  // guarded by mutex_: packs that were read
  std::unordered_set<Digest, DigestHash> whole_segments_;
};

}  // namespace

Result<VerifyReport> verify_store(Store& store, const VerifyOptions& options, TaskContext& task) {
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
