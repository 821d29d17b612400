// One region's store: chunks in packs in a bucket, an index that finds them, and image records. Format:
// docs/formats/store-1.md. Who may do what at the same time: docs/locking.md.
//
// Thread-safe. Several processes may have the same store open, for reading and for writing. Readers are never blocked,
// and see what writers have committed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/bucket.h"
#include "image/codec.h"
#include "image/digest.h"
#include "image/file_lock.h"

namespace atelier::image {

class Index;
struct Trash;
struct ChunkLocation;
struct WholeSegment;

struct StoreOptions {
  // A pack is closed when the next chunk would not fit. Three of this size are in memory per image being written.
  std::uint64_t pack_bytes_max = 32u << 20;
  // How long open() waits for another process that is alone with the store before it fails with kConflict.
  std::chrono::milliseconds lock_wait{5000};
  // How long a commit waits for a sweep to let it through, and a sweep for the commits that run; then kConflict.
  std::chrono::milliseconds commit_wait{60000};
  // Address space for the index at first; it doubles when full.
  std::uint64_t index_map_bytes = 16ull << 30;
};

// What a store needs on the local disk, whatever its bucket is.
struct StoreFiles {
  std::filesystem::path index_folder;  // accelerator: may be deleted while no process has the store open
  std::filesystem::path lock_file;     // the write lock; must be the same file for all processes, as the two that lie
                                       // beside it: the same name with ".commit" and ".care"
};

class Store {
 public:
  // Makes a new, empty store: kAlreadyExists when the bucket holds one.
  static Result<std::unique_ptr<Store>> create(std::unique_ptr<Bucket> bucket, const StoreFiles& files,
                                               const StoreOptions& options = {});
  // Opens an existing store. kNotFound when there is none, kUnsupported when its format is another, kConflict when
  // another makes its index just now and does not end. Brings the index up to date with the packs first: fast, unless
  // the index is lost.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<Bucket> bucket, const StoreFiles& files, Access access,
                                             const StoreOptions& options = {});
  // Makes the index again from the packs alone. kConflict while anybody has the store open for writing; readers go on.
  // Gives how many packs it has now.
  static Result<std::uint64_t> rebuild_index(std::unique_ptr<Bucket> bucket, const StoreFiles& files,
                                             const StoreOptions& options = {});
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // A UUID given at creation.
  const std::string& id() const { return id_; }
  Access access() const { return access_; }
  const StoreOptions& options() const { return options_; }

  // The plain bytes of a chunk, whose digest has been checked. kDataLoss when the store does not have the chunk or has
  // wrong bytes for it; the message names pack and chunk.
  Result<std::vector<std::byte>> read_chunk(const Digest& id);
  // The chunk as stored, for a copy to another store; not decoded, its digest is checked on arrival. Errors as above.
  Result<StoredChunk> read_stored_chunk(const Digest& id);
  // Does the store have the chunk?
  Result<bool> has_chunk(const Digest& id);
  // Does it have the segment and every chunk that the segment names? The all-zero digest (a hole) counts as present.
  Result<bool> has_whole_segment(const Digest& segment);
  // The same, with how long it is and how much of it is data; nullopt when it is not whole. Not for a hole. Fast for
  // segments of images that this store has committed: the index remembers them until chunks are swept.
  Result<std::optional<WholeSegment>> find_whole_segment(const Digest& segment);

  // The folder's own parts; not for other folders.
  Bucket& bucket() { return *bucket_; }
  Index& index() { return *index_; }
  // Held shared around each commit, exclusive while packs go into the trash or are purged: docs/locking.md. The second
  // form waits for options().commit_wait.
  Result<std::unique_ptr<FileLock>> lock_commits(FileLock::Kind kind, std::chrono::milliseconds wait) const;
  Result<std::unique_ptr<FileLock>> lock_commits(FileLock::Kind kind) const {
    return lock_commits(kind, options_.commit_wait);
  }
  // Held by who moves chunks between packs or throws packs away: one at a time. kConflict at once when it is taken.
  Result<std::unique_ptr<FileLock>> lock_care() const;
  // The trash as it was when the index last followed a sweep; nullptr when it is not known.
  std::shared_ptr<const Trash> known_trash() const;
  void remember_trash(std::shared_ptr<const Trash> trash);

 private:
  Store(std::unique_ptr<Bucket> bucket, StoreFiles files, Access access, const StoreOptions& options);
  Status read_format();
  Status open_to_write();
  enum class Rebuild { kIfNeeded, kAlways };
  Status recover_index(Rebuild rebuild);
  Status open_index();
  Status open_index_to_read();
  Status refresh_index();
  Result<ChunkLocation> locate(const Digest& id);
  void sound_alarm(const Digest& id, const ChunkLocation& location);
  Result<std::vector<std::byte>> fetch(const Digest& id, ChunkLocation& location);

  const std::unique_ptr<Bucket> bucket_;
  const StoreFiles files_;
  const Access access_;
  const StoreOptions options_;
  std::string id_;
  std::unique_ptr<FileLock> lock_;  // shared; held by a writer for the store's life
  std::unique_ptr<Index> index_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Trash> trash_;  // guarded by mutex_; shared, because it is used while another replaces it
};

// A store in a folder, with index and lock inside it. create makes the folder if it is absent.
Result<std::unique_ptr<Store>> create_directory_store(const std::filesystem::path& folder,
                                                      const StoreOptions& options = {});
Result<std::unique_ptr<Store>> open_directory_store(const std::filesystem::path& folder, Access access,
                                                    const StoreOptions& options = {});
Result<std::uint64_t> rebuild_directory_index(const std::filesystem::path& folder, const StoreOptions& options = {});

}  // namespace atelier::image
