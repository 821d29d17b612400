// A file of decoded chunks on the local disk, kept over restarts: what a host has read of its store once it does not
// read there again. An accelerator only: it may be deleted, torn by a power cut or tampered with at any time, and costs
// reads of the store then, never wrong bytes, for every chunk's digest is checked each time it is read.
//
// The file is a page with a mark and regions of 4 MiB, each a table and chunks on 4096-byte edges. A region is filled
// once, and thrown away whole for the next one: the first from the clock's hand on whose chunks nobody asked for since
// the hand passed. Nothing is synced. The table in memory takes about 200 bytes a chunk. Numbers are little-endian.
//
//   page     8 bytes "ATCACHE1", the rest zero
//   region   1024 entries of 48 bytes: id 32, place in the region 4, bytes 4, the region's filling 8; then chunks
//
// Entries of another filling than the first one's are left over from before, and so is what is wrong in any way.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "image/digest.h"

namespace atelier::image {

struct DiskCacheOptions {
  std::filesystem::path file;                       // made when it is missing; its folder must exist
  std::uint64_t bytes_max = 4ull << 30;             // of the file; at least two regions, 8 MiB and a page
  std::chrono::milliseconds lock_wait{2000};        // for a process that is just ending
  std::chrono::milliseconds pause_on_error{60000};  // no writes to where a write failed for so long
};

// Thread-safe.
class DiskCache {
 public:
  // Takes over what the file holds. kConflict when another process uses it.
  static Result<std::unique_ptr<DiskCache>> open(const DiskCacheOptions& options);
  DiskCache(const DiskCache&) = delete;
  DiskCache& operator=(const DiskCache&) = delete;

  // The chunk's bytes, their digest checked; nullopt when it is not there.
  std::optional<std::vector<std::byte>> find(const Digest& id);
  // Is it there, as far as is known without reading it?
  bool contains(const Digest& id) const;
  // Keeps the chunk if it can: a full or failing disk is logged, and is no error of the caller's. A chunk of more than
  // 4 MiB less 48 KiB is left out.
  void insert(const Digest& id, std::span<const std::byte> bytes);
  // How many chunks it has now.
  std::size_t size() const;

 private:
  struct Place {
    std::uint32_t region = 0;
    std::uint32_t offset = 0;  // in the region
    std::uint32_t bytes = 0;
    std::uint64_t filling = 0;  // of the region, when the chunk came in

    bool operator==(const Place&) const = default;
  };
  struct Region {
    std::uint64_t filling = 0;  // 0: never filled
    std::uint32_t entries = 0;
    std::uint32_t end = 0;       // where the next chunk goes
    std::uint32_t capacity = 0;  // less than a whole region where the disk was full
    bool was_used = false;       // since the clock's hand passed
    std::vector<Digest> ids;
  };
  struct Reservation {
    Place place;
    std::uint32_t entry = 0;
  };
  using Clock = std::chrono::steady_clock;

  DiskCache(const DiskCacheOptions& options, FileDescriptor file);
  Status begin_file();
  Status scan();
  void scan_region(std::uint32_t index, std::span<const std::byte> table);
  std::optional<Reservation> reserve(std::uint32_t bytes);
  bool open_next_region(Clock::time_point time);
  void empty_region(Region& region);
  void forget(const Digest& id, const Place& place);
  Status write(const Digest& id, const Reservation& reservation, std::span<const std::byte> bytes) const;
  void give_up(const Reservation& reservation, const Error& error);

  const DiskCacheOptions options_;
  const FileDescriptor file_;  // locked
  mutable std::mutex mutex_;
  std::unordered_map<Digest, Place, DigestHash> places_;  // guarded by mutex_, as is all below
  std::vector<Region> regions_;
  std::optional<std::uint32_t> active_;  // the region that is being filled
  std::uint32_t hand_ = 0;
  std::uint64_t fillings_ = 0;
  Clock::time_point may_grow_at_, may_write_at_;
};

}  // namespace atelier::image
