// Where each chunk is: an LMDB file that several processes read and one writes. An accelerator only: all of it can be
// made again from the packs' footers. It names a pack only after the pack is durable.
//
// It is written without syncs, so a power cut may leave it torn. The file `unsynced` beside it, made durable before the
// first write, tells: if it names another boot of the machine than this one, the index is not trusted.
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

namespace atelier::image {

struct ChunkLocation {
  Digest pack;
  std::uint32_t offset = 0;
  std::uint32_t stored_bytes = 0;
  std::uint32_t plain_bytes = 0;
  Codec codec = Codec::kRaw;
};

// Thread-safe. Writing calls are for the holder of the store's write lock only.
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

  // Adds a durable pack's chunks, all or none. A chunk that is there already stays where it is.
  Status add_pack(const Digest& pack, std::span<const PackEntry> entries);
  // Makes the index durable as it is now, so that a power cut does not cost a rebuild.
  Status checkpoint();

  // When another index lies in the folder than the one that is open, opens that one. Gives whether it did.
  Result<bool> reopen_if_replaced();

 private:
  class Environment;
  class ReadTransaction;
  Index(std::filesystem::path folder, Options options, std::shared_ptr<Environment> environment);
  static Result<std::shared_ptr<Environment>> open_environment(const std::filesystem::path& folder,
                                                               const Options& options);
  std::shared_ptr<Environment> environment();
  Status add_pack_once(Environment& environment, const Digest& pack, std::span<const PackEntry> entries);

  const std::filesystem::path folder_;
  const Options options_;
  std::mutex mutex_;
  // Shared by all indexes of this process on the same file: LMDB's locks break when a process opens a file twice.
  std::shared_ptr<Environment> environment_;  // guarded by mutex_
};

}  // namespace atelier::image
