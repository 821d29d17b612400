// The LMDB environment behind an index: opened once per file and process, its map grown on demand. Only the index's own
// sources include this, so that lmdb.h stays in them.
#pragma once

#include <lmdb.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "image/index.h"

namespace atelier::image {

// The Error for LMDB's result code.
Error lmdb_error(int code, std::string_view doing);

// LMDB does not write to what it is given.
inline MDB_val value_of(std::span<const std::byte> bytes) {
  return {bytes.size(), const_cast<std::byte*>(bytes.data())};
}
inline MDB_val value_of(std::string_view text) { return value_of(std::as_bytes(std::span(text))); }
inline MDB_val value_of(const Digest& digest) { return value_of(std::as_bytes(std::span(digest.bytes))); }
inline std::span<const std::byte> bytes_of(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

// A pack's number as a key: big-endian, so that numbers sort.
std::array<std::byte, 4> number_key(std::uint32_t number);
std::uint32_t number_of(std::span<const std::byte> key);

std::filesystem::path index_data_file(const std::filesystem::path& folder);
// Says, durably, that the index may be torn after a power cut; and takes it back. Each process has a mark of its own,
// named by `owner`: what one has synced tells nothing of what another writes.
Status mark_unsynced(const std::filesystem::path& folder, std::string_view owner);
Status unmark_unsynced(const std::filesystem::path& folder, std::string_view owner);
// Takes every process's mark away: for who is alone, and has synced.
Status unmark_all(const std::filesystem::path& folder);
// False when a mark of another boot of this machine lies there.
bool are_unsynced_marks_harmless(const std::filesystem::path& folder);

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
  MDB_dbi tables = 0;    // the unnamed one: name → LMDB's record of the table
  MDB_dbi chunks = 0;    // id → pack number, offset, stored bytes, plain bytes, codec
  MDB_dbi packs = 0;     // pack number → digest
  MDB_dbi numbers = 0;   // digest → pack number
  MDB_dbi whole = 0;     // id of a segment whose chunks are all here → its bytes on the disk, its data's bytes
  MDB_dbi settings = 0;  // "format", "store", "generation"
  FileIdentity identity;
  std::shared_mutex resize;  // shared by transactions, exclusive to change the map's size

  const std::string mark_owner;      // names this environment's mark
  std::mutex mark_mutex;             // held while the mark's file is written: rare
  bool marked = false;               // guarded by mark_mutex
  std::uint64_t writes_running = 0;  // guarded by mark_mutex
  std::uint64_t writes_begun = 0;    // guarded by mark_mutex

 private:
  Environment();
  Status open_databases();
};

}  // namespace atelier::image
