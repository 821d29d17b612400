// The LMDB environment behind an index: opened once per file and process, its map grown on demand. Only index.cpp and
// index_environment.cpp include this, so that lmdb.h stays in two sources.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string_view>

#include "base/error.h"
#include "image/index.h"

namespace atelier::image {

// The Error for LMDB's result code.
Error lmdb_error(int code, std::string_view doing);

std::filesystem::path index_data_file(const std::filesystem::path& folder);
// Says, durably, that the index may be torn after a power cut; and takes it back.
Status mark_unsynced(const std::filesystem::path& folder);
Status unmark_unsynced(const std::filesystem::path& folder);
// False when a mark of another boot of this machine lies there.
bool is_unsynced_mark_harmless(const std::filesystem::path& folder);

struct FileIdentity {
  std::uint64_t device = 0, inode = 0;
  auto operator<=>(const FileIdentity&) const = default;
};
Result<FileIdentity> identity_of(const std::filesystem::path& file);

class Index::Environment {
 public:
  // The environment of the file in `folder`, shared with everyone of this process who has it open.
  static Result<std::shared_ptr<Environment>> open(const std::filesystem::path& folder, std::uint64_t map_bytes);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // Begins a transaction; the caller holds `resize` shared until it has ended. Grows the map when another process did.
  Result<MDB_txn*> begin(unsigned flags, std::shared_lock<std::shared_mutex>& resize_lock);
  // Doubles the map. No transaction of the calling thread may be open.
  Status grow();

  MDB_env* env = nullptr;
  MDB_dbi chunks = 0;    // id → pack number, offset, stored bytes, plain bytes, codec
  MDB_dbi packs = 0;     // pack number → digest
  MDB_dbi numbers = 0;   // digest → pack number
  MDB_dbi settings = 0;  // "format", "store"
  FileIdentity identity;
  std::shared_mutex resize;  // shared by transactions, exclusive to change the map's size

  std::mutex mark_mutex;             // held while the mark's file is written: rare
  bool marked = false;               // guarded by mark_mutex
  std::uint64_t writes_running = 0;  // guarded by mark_mutex
  std::uint64_t writes_begun = 0;    // guarded by mark_mutex

 private:
  Environment() = default;
  Status open_databases();
};

}  // namespace atelier::image
