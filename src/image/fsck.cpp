#include "image/fsck.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "image/geometry.h"
#include "image/image_record.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/quarantine.h"
#include "image/removed_image.h"
#include "image/trash.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

// How often a store that changes under the check is looked at again, and how long that waits.
constexpr int kLooksMax = 5;
constexpr std::chrono::milliseconds kBetweenLooks{300};

class Fsck {
 public:
  Fsck(Store& store, TaskContext& task) : store_(store), task_(task) {}

  Result<FsckReport> run() {
    const Trash trash = TRY(read_trash(store_.bucket()));
    TRY(check_trash(trash));
    TRY(count_index());
    TRY(check_packs(trash));
    TRY(check_index(trash));
    TRY(check_images());
    std::ranges::sort(report_.problems);
    return report_;
  }

 private:
  void add_problem(std::string object, std::string what) {
    report_.problems.push_back({std::move(object), std::move(what)});
  }

  Status check_trash(const Trash& trash) {
    for (const TrashEpoch& epoch : trash.epochs) {
      if (!epoch.readable) add_problem(epoch_name(epoch.number), "The record is damaged.");
      report_.trash_packs += epoch.packs.size() - epoch.kept.size();
    }
    for (const std::string_view prefix : {kTrashPrefix, kKeptPrefix}) {
      for (const BucketEntry& entry : TRY(store_.bucket().list(prefix))) {
        const auto number = parse_uint64(std::string_view(entry.name).substr(prefix.size()).substr(0, 16));
        const bool known =
            number && std::ranges::find(trash.epochs, *number, &TrashEpoch::number) != trash.epochs.end();
        if (!known) add_problem(entry.name, "It belongs to no epoch of the trash; the next sweep does not need it.");
      }
    }
    if (TRY(store_.index().generation()) < trash.generation) {
      add_problem("index", "It has not followed the last sweep; whoever writes next brings it up to date.");
    }
    return {};
  }

  Status count_index() {
    for (const Digest& pack : TRY(store_.index().packs())) entries_[pack];
    return store_.index().for_each([&](const Digest&, const ChunkLocation& location) -> Status {
      ++entries_[location.pack];
      ++report_.chunks;
      return {};
    });
  }

  Status check_packs(const Trash& trash) {
    const auto listed = TRY(store_.bucket().list(kPackPrefix));
    Progress progress{.phase = "Checking"};
    for (const BucketEntry& entry : listed) progress.bytes_total += entry.size_bytes;
    for (const BucketEntry& entry : listed) {
      TRY(task_.check());
      progress.bytes_done += entry.size_bytes;
      task_.report(progress);
      const auto pack = parse_pack_name(entry.name);
      if (!pack) {
        add_problem(entry.name, "This is no name of a pack.");
        continue;
      }
      present_.insert(*pack);
      const bool in_trash = trash.holds(*pack);
      const bool indexed = entries_.contains(*pack);
      if (!in_trash) ++report_.packs;
      if (in_trash && indexed) add_problem(entry.name, "The pack is in the trash and in the index.");
      if (!in_trash && !indexed) add_problem(entry.name, "The pack is not in the index.");
      TRY(check_footer(*pack, entry.name));
    }
    return {};
  }

  Status check_footer(const Digest& pack, const std::string& name) {
    const auto footer = read_pack_entries(store_.bucket(), pack);
    if (!footer && footer.error().code() == Code::kNotFound) return {};  // purged in the meantime, or it is lost
    if (!footer) {
      add_problem(name, footer.error().message());
      return {};
    }
    const auto indexed = entries_.find(pack);
    if (indexed == entries_.end()) return {};
    std::vector<Digest> ids;
    for (const PackEntry& entry : *footer) ids.push_back(entry.id);
    std::vector<std::optional<ChunkLocation>> locations;
    TRY(store_.index().locate_all(ids, locations));
    std::uint64_t here = 0;
    std::uint64_t nowhere = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const PackEntry& entry = (*footer)[i];
      const auto& location = locations[i];
      if (!location) ++nowhere;
      if (!location || location->pack != pack) continue;
      const bool agrees = location->offset == entry.offset && location->stored_bytes == entry.stored_bytes &&
                          location->plain_bytes == entry.plain_bytes && location->codec == entry.codec;
      if (agrees) ++here;
    }
    if (here != indexed->second) {
      add_problem(name, fmt::format("The index looks for {} chunks here, and the footer agrees with {} of them.",
                                    indexed->second, here));
    }
    // A chunk that is in two packs leaves the index with the one that is swept, and nothing needs it.
    if (nowhere == ids.size()) add_problem(name, "The index knows none of its chunks.");
    return {};
  }

  Status check_index(const Trash& trash) {
    for (const auto& [pack, count] : entries_) {
      if (!present_.contains(pack)) add_problem(pack_name(pack), "The index names the pack, and it is gone.");
      if (!present_.contains(pack) && trash.holds(pack)) add_problem(pack_name(pack), "It was swept.");
    }
    return {};
  }

  Status check_images() {
    for (const BucketEntry& entry : TRY(store_.bucket().list(kImagePrefix))) {
      TRY(task_.check());
      const auto root = Digest::parse(std::string_view(entry.name).substr(kImagePrefix.size()));
      if (!root) {
        add_problem(entry.name, "This is no name of an image.");
        continue;
      }
      const auto record = find_image(store_, *root);
      if (record && !*record) continue;  // removed in the meantime
      ++report_.images;
      if (!record) add_problem(entry.name, record.error().message());
      TRY(check_tree(entry.name, *root, record ? (*record)->disk_bytes : 0));
    }
    for (const RemovedImage& removed : TRY(list_removed(store_))) {
      ++report_.removed_images;
      const std::string name = std::string(kRemovedPrefix) + removed.root.hex();
      if (!removed.removed_at) add_problem(name, "The record is damaged.");
      TRY(check_tree(name, removed.root, 0));
    }
    return {};
  }

  Status check_tree(const std::string& name, const Digest& id, std::uint64_t disk_bytes) {
    const auto root = read_root(store_, id);
    if (!root) {
      add_problem(name, root.error().message());
      return {};
    }
    if (disk_bytes != 0 && root->disk_bytes != disk_bytes) {
      add_problem(name, "The record and the root differ about the disk's size.");
    }
    std::uint64_t missing = 0;
    for (std::size_t i = 0; i < root->segments.size(); ++i) {
      const Digest& segment_id = root->segments[i];
      if (segment_id.is_zero() || whole_.contains(segment_id)) continue;
      const auto segment = read_segment(store_, segment_id, segment_bytes(root->disk_bytes, i));
      if (!segment) {
        add_problem(name, segment.error().message());
        continue;
      }
      std::vector<Digest> ids;
      for (const SegmentEntry& entry : segment->entries) {
        if (!entry.is_hole()) ids.push_back(entry.chunk);
      }
      std::vector<bool> found;
      TRY(store_.index().find_all(ids, found));
      const auto missing_here = static_cast<std::uint64_t>(std::ranges::count(found, false));
      if (missing_here == 0) whole_.insert(segment_id);
      missing += missing_here;
    }
    if (missing > 0) add_problem(name, fmt::format("{} chunks of the image are not in the index.", missing));
    return {};
  }

  Store& store_;
  TaskContext& task_;
  FsckReport report_;
  std::map<Digest, std::uint64_t> entries_;  // how many chunks the index looks for in each pack
  std::set<Digest> present_;
  DigestSet whole_;  // segments
};

}  // namespace

Result<FsckReport> fsck_store(Store& store, TaskContext& task) {
  std::vector<Problem> before;
  for (int look = 1;; ++look) {
    TRY(store.index().reopen_if_replaced());
    Fsck fsck(store, task);
    FsckReport report = TRY(fsck.run());
    // What others are in the middle of is gone, or another, a moment later.
    if (report.clean() || report.problems == before || look == kLooksMax) return report;
    before = report.problems;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace atelier::image
