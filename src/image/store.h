// One region's store: chunks in packs in a bucket, an index that finds them, and image records. Format:
// docs/formats/store-1.md. Who may do what at the same time: docs/locking.md.
//
// Thread-safe. Several processes may have the same store open; at most one of them with Access::kReadWrite. Readers are
// never blocked, and see what the writer has committed.
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

namespace atelier::image {

class FileLock;
class Index;
struct ChunkLocation;

struct StoreOptions {
  // A pack is closed when the next chunk would not fit. Two of this size are in memory per image being written.
  std::uint64_t pack_bytes_max = 32u << 20;
  // How long open() waits for another process to give up the write lock before it fails with kConflict.
  std::chrono::milliseconds lock_wait{5000};
  // Address space for the index at first; it doubles when full.
  std::uint64_t index_map_bytes = 16ull << 30;
};

// What a store needs on the local disk, whatever its bucket is.
struct StoreFiles {
  std::filesystem::path index_folder;  // accelerator: may be deleted while no process has the store open
  std::filesystem::path lock_file;     // the write lock; must be the same file for all processes
};

class Store {
 public:
  // Makes a new, empty store: kAlreadyExists when the bucket holds one.
  static Result<std::unique_ptr<Store>> create(std::unique_ptr<Bucket> bucket, const StoreFiles& files,
                                               const StoreOptions& options = {});
  // Opens an existing store. kNotFound when there is none, kUnsupported when its format is another, kConflict when
  // another process (or another Store of this one) has it open for writing and `access` is kReadWrite. Brings the index
  // up to date with the packs first: fast, unless the index is lost.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<Bucket> bucket, const StoreFiles& files, Access access,
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

  // The folder's own parts; not for other folders.
  Bucket& bucket() { return *bucket_; }
  Index& index() { return *index_; }

 private:
  Store(std::unique_ptr<Bucket> bucket, StoreFiles files, Access access, const StoreOptions& options);
  Status read_format();
  Status recover_index();
  Status open_index_to_read();
  Status refresh_index();
  Result<ChunkLocation> locate(const Digest& id);
  Result<std::vector<std::byte>> fetch(const Digest& id, const ChunkLocation& location);

  const std::unique_ptr<Bucket> bucket_;
  const StoreFiles files_;
  const Access access_;
  const StoreOptions options_;
  std::string id_;
  std::unique_ptr<FileLock> lock_;  // held by a writer for the store's life
  std::unique_ptr<Index> index_;
};

// A store in a folder, with index and lock inside it. create makes the folder if it is absent.
Result<std::unique_ptr<Store>> create_directory_store(const std::filesystem::path& folder,
                                                      const StoreOptions& options = {});
Result<std::unique_ptr<Store>> open_directory_store(const std::filesystem::path& folder, Access access,
                                                    const StoreOptions& options = {});

}  // namespace atelier::image
