#include "image/index_prefetch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace atelier::image {
namespace {

// LMDB's data format 1, little-endian. A page: its number (8), padding (2), flags (2), the end of its nodes' offsets
// (2), unused (2), then the offsets (2 each), ordered by key. A node: in a branch its child's page number (6), in a
// leaf other things (6), then the key's length (2) and the key. A branch's first node stands for all lower keys. A
// table's record: other things (40), its root's page number (8).
constexpr std::size_t kPageHeaderBytes = 16;
constexpr std::size_t kFlagsAt = 10;
constexpr std::size_t kOffsetsEndAt = 12;
constexpr std::size_t kKeyAt = 8;
constexpr std::size_t kRecordBytes = 48;
constexpr std::size_t kRootAt = 40;
constexpr std::uint16_t kBranch = 1;
constexpr std::uint16_t kLeaf = 2;
constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kLinesOfOffsets = 3;
// With fewer levels, all is in the processor's caches anyway.
constexpr unsigned kLevelsMin = 3;
constexpr unsigned kLevelsMax = 16;

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Of a key or an id: decides its order, but for one pair in 2^64.
std::uint64_t first_bytes(const void* key) {
  std::uint64_t value = 0;
  std::memcpy(&value, key, sizeof value);
  return __builtin_bswap64(value);
}

struct Map {
  const std::byte* begin = nullptr;
  std::size_t page_bytes = 0;
  std::uint64_t last_page = 0;
};

// One id's way down: in `page`, nodes [low, high) may still be where it leads.
struct Path {
  std::uint64_t wanted = 0;
  const std::byte* page = nullptr;  // nullptr: it cannot be followed
  std::uint32_t low = 0, high = 0;
};

void go_to_page(Path& path, const Map& map, std::uint64_t number) {
  path.page = number <= map.last_page ? map.begin + number * map.page_bytes : nullptr;
  if (path.page == nullptr) return;
  for (std::size_t line = 0; line < kLinesOfOffsets; ++line) __builtin_prefetch(path.page + line * kLineBytes);
}

// nullptr when its first `bytes` do not lie in the page.
const std::byte* node(const Path& path, const Map& map, std::uint32_t index, std::size_t bytes) {
  const auto offset = load<std::uint16_t>(path.page + kPageHeaderBytes + std::size_t{index} * 2);
  return offset + bytes <= map.page_bytes ? path.page + offset : nullptr;
}

// The node that LMDB's own search compares next.
std::uint32_t middle(const Path& path) { return (path.low + path.high - 1) / 2; }

void prefetch_middle(Path& path, const Map& map) {
  if (path.low >= path.high) return;
  const std::byte* const next = node(path, map, middle(path), kKeyAt + sizeof(Digest));
  if (next == nullptr) {
    path.page = nullptr;
    return;
  }
  __builtin_prefetch(next);
  __builtin_prefetch(next + kKeyAt + sizeof(Digest) - 1);  // LMDB compares whole keys
}

void begin_page(Path& path, const Map& map) {
  const auto flags = load<std::uint16_t>(path.page + kFlagsAt);
  const auto end = load<std::uint16_t>(path.page + kOffsetsEndAt);
  if ((flags != kBranch && flags != kLeaf) || end < kPageHeaderBytes || end > map.page_bytes) {
    path.page = nullptr;
    return;
  }
  path.low = flags == kBranch ? 1 : 0;
  path.high = (end - static_cast<std::uint32_t>(kPageHeaderBytes)) / 2;
  prefetch_middle(path, map);
}

// True while there are more comparisons to make in this page.
bool compare(Path& path, const Map& map) {
  if (path.page == nullptr || path.low >= path.high) return false;
  const std::uint32_t index = middle(path);
  const bool is_after = first_bytes(node(path, map, index, kKeyAt + sizeof(Digest)) + kKeyAt) <= path.wanted;
  path.low = is_after ? index + 1 : path.low;
  path.high = is_after ? path.high : index;
  prefetch_middle(path, map);
  return path.page != nullptr && path.low < path.high;
}

void go_to_child(Path& path, const Map& map) {
  if (path.page == nullptr) return;
  const bool is_branch = load<std::uint16_t>(path.page + kFlagsAt) == kBranch;
  const std::byte* const parent = is_branch && path.low > 0 ? node(path, map, path.low - 1, kKeyAt) : nullptr;
  path.page = nullptr;
  if (parent != nullptr) go_to_page(path, map, load<std::uint64_t>(parent) & 0xffff'ffff'ffff);
}

}  // namespace

void prefetch_paths(MDB_txn* transaction, MDB_dbi tables, std::span<const std::byte> name,
                    std::span<const Digest> ids) {
  if constexpr (std::endian::native != std::endian::little) return;
  MDB_val key{name.size(), const_cast<std::byte*>(name.data())};
  MDB_val record{};
  MDB_stat facts{};
  MDB_envinfo info{};
  if (mdb_get(transaction, tables, &key, &record) != 0 || record.mv_size != kRecordBytes) return;
  if (mdb_stat(transaction, tables, &facts) != 0 || mdb_env_info(mdb_txn_env(transaction), &info) != 0) return;
  Map map{.page_bytes = facts.ms_psize,
          .last_page = std::min<std::uint64_t>(info.me_last_pgno, info.me_mapsize / facts.ms_psize - 1)};
  const auto* const record_bytes = static_cast<const std::byte*>(record.mv_data);
  // A page says its own number: that gives the map's begin.
  const std::byte* const page = record_bytes - reinterpret_cast<std::uintptr_t>(record_bytes) % map.page_bytes;
  const auto number = load<std::uint64_t>(page);
  if (number > map.last_page) return;
  map.begin = page - number * map.page_bytes;
  const unsigned levels = load<std::uint16_t>(record_bytes + 6);
  if (levels < kLevelsMin || levels > kLevelsMax) return;

  std::array<Path, kPrefetchIdsMax> room;
  const auto paths = std::span(room).first(std::min(ids.size(), room.size()));
  for (std::size_t i = 0; i < paths.size(); ++i) {
    paths[i].wanted = first_bytes(ids[i].bytes.data());
    go_to_page(paths[i], map, load<std::uint64_t>(record_bytes + kRootAt));
  }
  for (unsigned level = 0; level < levels; ++level) {
    for (Path& path : paths) {
      if (path.page != nullptr) begin_page(path, map);
    }
    for (bool more = true; more;) {
      more = false;
      for (Path& path : paths) more |= compare(path, map);
    }
    for (Path& path : paths) go_to_child(path, map);
  }
}

}  // namespace atelier::image
