#include "image/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "base/log.h"
#include "image/geometry.h"
#include "image/image_record.h"
#include "image/index.h"
#include "image/purge.h"
#include "image/quarantine.h"
#include "image/removed_image.h"
#include "image/sweep_marks.h"

namespace atelier::image {
namespace {

// So many packs are written anew before they are thrown away together: bounds the room that both take.
constexpr std::size_t kRewrittenAtOnce = 256;

class Sweep {
 public:
  Sweep(Store& store, const SweepOptions& options, TaskContext& task)
      : store_(store), options_(options), task_(task), begun_(Stamp::now()) {}

  Result<SweepReport> run() {
    std::unique_ptr<FileLock> care;
    if (!is_dry()) care = TRY(store_.lock_care());
    const auto trash = TRY(read_store_trash());
    marks_ = TRY(SweepMarks::of_index(store_));
    TRY(weigh_packs(*trash));
    TRY(mark_everything());
    choose_packs();
    if (!is_dry()) {
      TRY(check_brake());
      TRY(forget_removed_images());
      TRY(throw_away_dead());
      TRY(rewrite_all());
    }
    TRY(purge(*trash));
    finish_report();
    return std::move(report_);
  }

 private:
  bool is_dry() const { return options_.mode == SweepOptions::Mode::kDryRun; }

  // Who only reads leaves the index as it is.
  Result<std::shared_ptr<const Trash>> read_store_trash() {
    if (store_.access() == Access::kReadOnly) return std::make_shared<const Trash>(TRY(read_trash(store_.bucket())));
    TRY(index_unknown_packs(store_));
    return follow_sweeps(store_);
  }

  void add_problem(std::string object, std::string what) {
    log::error("sweep: {}: {}", object, what);
    report_.problems.push_back({std::move(object), std::move(what)});
  }

  Status weigh_packs(const Trash& trash) {
    for (const BucketEntry& entry : TRY(store_.bucket().list(kPackPrefix))) {
      const auto pack = parse_pack_name(entry.name);
      if (!pack) {
        add_problem(entry.name, "This is no name of a pack.");
        continue;
      }
      sizes_[*pack] = entry.size_bytes;
      if (trash.holds(*pack)) continue;
      ++report_.packs;
      report_.pack_bytes += entry.size_bytes;
      if (marks_.find(*pack) != nullptr || TRY(store_.index().has_pack(*pack))) continue;
      // Else a writer has just put it.
      const auto entries = read_pack_entries(store_.bucket(), *pack);
      if (!entries && entries.error().code() != Code::kNotFound) {
        add_problem(entry.name, "The pack cannot be read, so it is left where it is.");
      }
    }
    return {};
  }

  // The images first, then the removed ones: an image that is removed in between is one or the other.
  Result<std::vector<Digest>> roots_in_use() {
    std::vector<Digest> roots;
    for (const BucketEntry& entry : TRY(store_.bucket().list(kImagePrefix))) {
      const auto root = Digest::parse(std::string_view(entry.name).substr(kImagePrefix.size()));
      if (root) roots.push_back(*root);
    }
    report_.images = roots.size();
    expired_.clear();
    for (const RemovedImage& removed : TRY(list_removed(store_))) {
      const bool expired =
          !has_forgotten_ && removed.removed_at && removed.removed_at->age_at(begun_) >= options_.removed_kept_for;
      (expired ? expired_ : roots).push_back(removed.root);
    }
    report_.removed_images = roots.size() - report_.images;
    return roots;
  }

  // Marks the images that are not marked. Those that are removed may be damaged: nobody can bring them back anyhow.
  Result<bool> mark_new() {
    const std::vector<Digest> roots = TRY(roots_in_use());
    progress_.bytes_total = roots.size();
    bool marked = false;
    for (std::size_t i = 0; i < roots.size(); ++i) {
      TRY(task_.check());
      if (marks_.has_marked(roots[i]) || unreadable_.contains(roots[i])) continue;
      const Status done = marks_.mark_image(store_, roots[i], task_);
      if (!done && done.error().code() != Code::kDataLoss) return fail(done.error());
      if (!done && i < report_.images && store_.bucket().size(image_name(roots[i]))) {
        return fail(Code::kDataLoss,
                    fmt::format("Image {} cannot be read, so that it is not known what it needs: {} Nothing is thrown "
                                "away. Heal the image, or remove it.",
                                roots[i].hex(), done.error().message()));
      }
      if (!done) {
        unreadable_.insert(roots[i]);
        add_problem(std::string(kRemovedPrefix) + roots[i].hex(), done.error().message());
      }
      marked = true;
      progress_.bytes_done = i + 1;
      task_.report(progress_);
    }
    return marked;
  }

  Status mark_everything() {
    progress_.phase = "Marking";
    while (TRY(mark_new())) {
    }
    if (marks_.missing() > 0) {
      add_problem("images/", fmt::format("{} chunks of images are nowhere. Verify the store.", marks_.missing()));
    }
    return {};
  }

  std::uint64_t size_of(const Digest& pack) const {
    const auto found = sizes_.find(pack);
    return found == sizes_.end() ? 0 : found->second;
  }

  void choose_packs() {
    for (const SweepMarks::Pack& pack : marks_.packs()) {
      const std::uint64_t size = size_of(pack.id);
      if (size == 0) continue;
      if (pack.chunks_in_use == 0) {
        dead_.push_back(pack.id);
        bytes_to_free_ += size;
      } else if (pack.bytes_in_use * 100 < size * options_.rewrite_below_percent) {
        half_dead_.push_back(pack.id);
        bytes_to_free_ += size - pack.bytes_in_use;
      }
    }
    std::ranges::sort(dead_);
    std::ranges::sort(half_dead_);
    if (!is_dry()) return;
    report_.dead = dead_;
    report_.rewritten = half_dead_;
    report_.forgotten = expired_;
    report_.bytes_freed = bytes_to_free_;
    for (const Digest& pack : half_dead_) report_.bytes_moved += marks_.find(pack)->bytes_in_use;
  }

  Status check_brake() const {
    if (options_.brake == SweepOptions::Brake::kOff || bytes_to_free_ <= report_.pack_bytes / 2) return {};
    return fail(
        Code::kFailedPrecondition,
        fmt::format("The sweep would free {} of {} bytes, more than half. Look at it with a dry run; if that is "
                    "right, force it.",
                    bytes_to_free_, report_.pack_bytes));
  }

  // Whatever is listed as removed afterwards can be brought back, so its chunks stay: what could not be erased, and
  // what is removed from now on.
  Status forget_removed_images() {
    const auto lock = TRY(store_.lock_commits(FileLock::Kind::kExclusive));
    TRY(roots_in_use());  // one may have been brought back, or removed once more
    for (const Digest& root : expired_) {
      const Status forgotten = forget_removed(store_, root);
      if (forgotten) report_.forgotten.push_back(root);
      if (!forgotten) add_problem(std::string(kRemovedPrefix) + root.hex(), forgotten.error().message());
    }
    has_forgotten_ = true;
    return {};
  }

  // Throws those packs away of which nothing is in use that `copied` does not have, as images are now.
  Result<std::vector<Digest>> retire(const std::vector<Digest>& packs,
                                     const std::map<Digest, std::set<std::uint32_t>>& copied) {
    while (TRY(mark_new())) {
    }
    return retire_packs(store_, [&]() -> Result<std::vector<Digest>> {
      TRY(mark_new());
      std::vector<Digest> chosen;
      for (const Digest& id : packs) {
        const SweepMarks::Pack& pack = *marks_.find(id);
        const auto moved = copied.find(id);
        const std::uint64_t moved_chunks = moved == copied.end() ? 0 : moved->second.size();
        if (pack.chunks_in_use <= moved_chunks) chosen.push_back(id);
      }
      return chosen;
    });
  }

  Status throw_away_dead() {
    for (std::size_t at = 0; at < dead_.size(); at += kEpochPacksMax) {
      TRY(task_.check());
      const auto last = dead_.begin() + static_cast<std::ptrdiff_t>(std::min(at + kEpochPacksMax, dead_.size()));
      const std::vector<Digest> some(dead_.begin() + static_cast<std::ptrdiff_t>(at), last);
      for (const Digest& pack : TRY(retire(some, {}))) {
        report_.dead.push_back(pack);
        report_.bytes_freed += size_of(pack);
      }
    }
    return {};
  }

  Status rewrite_all() {
    progress_ = {.phase = "Rewriting"};
    for (const Digest& pack : half_dead_) progress_.bytes_total += size_of(pack);
    for (std::size_t at = 0; at < half_dead_.size(); at += kRewrittenAtOnce) {
      const auto last =
          half_dead_.begin() + static_cast<std::ptrdiff_t>(std::min(at + kRewrittenAtOnce, half_dead_.size()));
      TRY(rewrite({half_dead_.begin() + static_cast<std::ptrdiff_t>(at), last}));
    }
    return {};
  }

  Status rewrite(const std::vector<Digest>& packs) {
    PackBuilder builder(store_.options().pack_bytes_max);
    std::map<Digest, std::set<std::uint32_t>> copied;
    std::vector<Digest> done;
    for (const Digest& pack : packs) {
      TRY(task_.check());
      const auto offsets = copy_chunks(pack, builder);
      progress_.bytes_done += size_of(pack);
      task_.report(progress_);
      if (!offsets && offsets.error().code() != Code::kDataLoss && offsets.error().code() != Code::kNotFound) {
        return fail(offsets.error());
      }
      if (!offsets) {
        add_problem(pack_name(pack), offsets.error().message());
        continue;
      }
      copied.emplace(pack, *offsets);
      done.push_back(pack);
    }
    TRY(flush(builder));
    TRY(store_.index().checkpoint());
    // A small pack may come out as it went in.
    std::erase_if(done, [&](const Digest& pack) { return written_.contains(pack); });
    for (const Digest& pack : TRY(retire(done, copied))) {
      report_.rewritten.push_back(pack);
      report_.bytes_freed += size_of(pack) - marks_.find(pack)->bytes_in_use;
      report_.bytes_moved += marks_.find(pack)->bytes_in_use;
    }
    return {};
  }

  Status flush(PackBuilder& builder) {
    if (builder.empty()) return {};
    written_.insert(TRY(store_pack(store_, builder, Index::AddOptions::Known::kMoves)));
    builder.clear();
    return {};
  }

  // The chunks in use, as stored. Gives where they lie in the pack. kDataLoss when one is damaged: then nothing of the
  // pack is thrown away.
  Result<std::set<std::uint32_t>> copy_chunks(const Digest& id, PackBuilder& builder) {
    const SweepMarks::Pack& pack = *marks_.find(id);
    const auto file = get_all(store_.bucket(), pack_name(id), 2 * kPackBytesMax);
    // A medium that fails to read one file may still read the others.
    if (!file) return fail(Code::kDataLoss, file.error().message());
    const auto entries = TRY(parse_pack(*file));
    std::vector<PackEntry> wanted;
    for (const PackEntry& entry : entries) {
      if (!pack.uses(entry.offset)) continue;
      if (checksum(std::span(*file).subspan(entry.offset, entry.stored_bytes)) != entry.checksum) {
        return fail(Code::kDataLoss, fmt::format("Chunk {} is damaged. Verify the store.", entry.id.hex()));
      }
      wanted.push_back(entry);
    }
    std::set<std::uint32_t> offsets;
    for (const PackEntry& entry : wanted) {
      if (!builder.has_room(entry.stored_bytes)) TRY(flush(builder));
      builder.add(entry.id, entry.codec, entry.plain_bytes, std::span(*file).subspan(entry.offset, entry.stored_bytes));
      offsets.insert(entry.offset);
    }
    return offsets;
  }

  Status purge(const Trash& trash) {
    progress_ = {.phase = "Purging"};
    for (const TrashEpoch& epoch : trash.epochs) {
      TRY(task_.check());
      if (epoch.made.age_at(begun_) < options_.purge_after && !epoch.alarmed && epoch.readable) continue;
      PurgeResult purged;
      if (is_dry()) {
        purged = would_purge(epoch, sizes_);
      } else {
        purged = TRY(purge_epoch(store_, epoch.number, sizes_));
      }
      report_.purged.insert(report_.purged.end(), purged.packs.begin(), purged.packs.end());
      report_.bytes_purged += purged.bytes;
      for (Problem& problem : purged.problems) add_problem(std::move(problem.object), std::move(problem.what));
      progress_.bytes_done += purged.bytes;
      task_.report(progress_);
    }
    if (is_dry()) return {};
    const auto lock = TRY(store_.lock_commits(FileLock::Kind::kExclusive));
    return erase_strays(store_.bucket());
  }

  void finish_report() {
    for (const SweepMarks::Pack& pack : marks_.packs()) report_.chunks += pack.offsets.size();
    report_.chunks_in_use = marks_.chunks_in_use();
    for (auto* const list : {&report_.dead, &report_.rewritten, &report_.purged, &report_.forgotten}) {
      std::ranges::sort(*list);
    }
  }

  Store& store_;
  const SweepOptions options_;
  TaskContext& task_;
  const Stamp begun_;
  SweepMarks marks_;
  SweepReport report_;
  Progress progress_;
  std::unordered_map<Digest, std::uint64_t, DigestHash> sizes_;  // of all packs' files, when it began
  std::set<Digest> unreadable_;                                  // removed images
  std::set<Digest> written_;                                     // packs
  std::vector<Digest> expired_, dead_, half_dead_;
  bool has_forgotten_ = false;
  std::uint64_t bytes_to_free_ = 0;
};

}  // namespace

Result<SweepReport> sweep_store(Store& store, const SweepOptions& options, TaskContext& task) {
  if (options.mode == SweepOptions::Mode::kReal && store.access() != Access::kReadWrite) {
    return fail(Code::kFailedPrecondition, "The store is open for reading only.");
  }
  Sweep sweep(store, options, task);
  return sweep.run();
}

}  // namespace atelier::image
