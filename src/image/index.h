// Where each chunk is: an LMDB file that several processes read and one writes. An accelerator only: all of it can be
// made again from the packs' footers. It names a pack only after the pack is durable.
//
// It is written without syncs, so a power cut may leave it torn. A file `unsynced-…` beside it, one for each process
// that writes, made durable before its first write, tells: if one names another boot of the machine than this one, the
// index is not trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/digest.h"
#include "image/pack.h"

struct MDB_txn;

namespace atelier::image {

struct ChunkLocation {
  Digest pack;
  std::uint32_t offset = 0;
  std::uint32_t stored_bytes = 0;
  std::uint32_t plain_bytes = 0;
  Codec codec = Codec::kRaw;
};

// What to take out of an index: a pack, and what it holds as far as that is known.
struct RemovedPack {
  Digest pack;
  // From its footer; nullopt when that cannot be read: then the whole index is walked.
  std::optional<std::vector<PackEntry>> entries;
};

// A segment of which the store has every chunk.
struct WholeSegment {
  Digest id;
  std::uint32_t disk_bytes = 0;
  std::uint32_t data_bytes = 0;  // of them no hole
};

// Thread-safe. Several processes may write: LMDB orders them. Writing calls are for holders of the store's write lock.
class Index {
 public:
  struct Options {
    std::string store_id;         // an index of another store is not trusted
    std::uint64_t map_bytes = 0;  // address space at first; doubles when full
  };

  // Can open() be expected to give a whole index? False when there is none or it may be torn.
  static bool is_trusted(const std::filesystem::path& folder);
  // Opens an index that is there. kNotFound when there is none or it is not one that can be used: then create().
  static Result<std::unique_ptr<Index>> open(const std::filesystem::path& folder, const Options& options);
  // Puts a new, empty index in place of what is there. Processes that have the old one open go on reading from it.
  static Result<std::unique_ptr<Index>> create(const std::filesystem::path& folder, const Options& options);
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  Result<std::optional<ChunkLocation>> find(const Digest& id);
  // found[i] says whether ids[i] is there. One snapshot for all.
  Status find_all(std::span<const Digest> ids, std::vector<bool>& found);
  // Calls `visit` for every chunk, ordered by id, until it fails.
  Status for_each(const std::function<Status(const Digest&, const ChunkLocation&)>& visit);
  Result<std::vector<Digest>> packs();

  // places[i] says where ids[i] is. One snapshot for all.
  Status locate_all(std::span<const Digest> ids, std::vector<std::optional<ChunkLocation>>& places);
  Result<bool> has_pack(const Digest& pack);
  // The last sweep that this index has followed: packs that sweeps up to it put into the trash are not in it. 0 = none.
  Result<std::uint64_t> generation();

  struct AddOptions {
    // Only while the index is at this generation; else kConflict, and nothing changes.
    std::optional<std::uint64_t> generation = std::nullopt;
    // What happens to a chunk that is there already.
    enum class Known { kStays, kMoves } known = Known::kStays;
  };
  // Adds a durable pack's chunks, all or none.
  Status add_pack(const Digest& pack, std::span<const PackEntry> entries, const AddOptions& options);
  Status add_pack(const Digest& pack, std::span<const PackEntry> entries) { return add_pack(pack, entries, {}); }
  // Follows a sweep: takes the packs out, with the chunks that are found in them, and sets the generation; all or none.
  // Does nothing when the index has that generation or a later one.
  Status follow_sweep(std::uint64_t generation, std::span<const RemovedPack> packs);
  // Remembers segments, all of whose chunks are in the index, so that nobody need look all of them up again; only while
  // the index is at this generation, else it does nothing. They are forgotten, all together, when a sweep is followed.
  Status remember_whole(std::span<const WholeSegment> segments, std::uint64_t generation);
  // nullopt when it is not remembered.
  Result<std::optional<WholeSegment>> find_whole(const Digest& segment);
  // Makes the index durable as it is now, so that a power cut does not cost a rebuild.
  Status checkpoint();

  // The same for who is alone with the store: also for what processes wrote that were killed.
  Status checkpoint_alone();

  // When another index lies in the folder than the one that is open, opens that one. Gives whether it did.
  Result<bool> reopen_if_replaced();

 private:
  class Environment;
  class ReadTransaction;
  Index(std::filesystem::path folder, Options options, std::shared_ptr<Environment> environment);
  static Result<std::shared_ptr<Environment>> open_environment(const std::filesystem::path& folder,
                                                               const Options& options);
  std::shared_ptr<Environment> environment();
  // Runs `change` in a write transaction that is committed when it gives 0; grows the map and runs it again when full.
  Status write(std::string_view doing, const std::function<int(Environment&, MDB_txn*)>& change);

  const std::filesystem::path folder_;
  const Options options_;
  std::mutex mutex_;
  // Shared by all indexes of this process on the same file: LMDB's locks break when a process opens a file twice.
  std::shared_ptr<Environment> environment_;  // guarded by mutex_
};

}  // namespace atelier::image
