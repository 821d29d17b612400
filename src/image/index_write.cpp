// How an index is changed: packs come and go, each change in one transaction.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "image/index.h"
#include "image/index_environment.h"
#include "image/wire.h"

namespace atelier::image {
namespace {

constexpr std::string_view kGenerationKey = "generation";
// No code of LMDB or of the system: what a change gives when its condition does not hold.
constexpr int kConditionFails = 1 << 20;

std::uint64_t generation_of(MDB_txn* transaction, MDB_dbi settings) {
  MDB_val key = value_of(kGenerationKey);
  MDB_val value{};
  if (mdb_get(transaction, settings, &key, &value) != 0) return 0;
  return WireReader(bytes_of(value)).number<std::uint64_t>();
}

int set_generation(MDB_txn* transaction, MDB_dbi settings, std::uint64_t generation) {
  std::vector<std::byte> bytes;
  put_number(bytes, generation);
  MDB_val key = value_of(kGenerationKey);
  MDB_val value = value_of(bytes);
  return mdb_put(transaction, settings, &key, &value, 0);
}

// The number of a pack that is in the index; MDB_NOTFOUND when it is not.
int find_number(MDB_txn* transaction, MDB_dbi numbers, const Digest& pack, std::uint32_t& number) {
  MDB_val key = value_of(pack);
  MDB_val value{};
  const int code = mdb_get(transaction, numbers, &key, &value);
  if (code == 0) number = number_of(bytes_of(value));
  return code;
}

int next_number(MDB_txn* transaction, MDB_dbi packs, std::uint32_t& number) {
  MDB_cursor* cursor = nullptr;
  int code = mdb_cursor_open(transaction, packs, &cursor);
  if (code != 0) return code;
  MDB_val last{};
  MDB_val value{};
  code = mdb_cursor_get(cursor, &last, &value, MDB_LAST);
  if (code == 0) number = number_of(bytes_of(last)) + 1;
  mdb_cursor_close(cursor);
  return code == MDB_NOTFOUND ? 0 : code;
}

int put(MDB_txn* transaction, MDB_dbi table, MDB_val key, std::span<const std::byte> bytes, unsigned flags) {
  MDB_val value = value_of(bytes);
  const int code = mdb_put(transaction, table, &key, &value, flags);
  return code == MDB_KEYEXIST ? 0 : code;
}

// The number of the pack that a chunk's value names.
std::uint32_t pack_number_of(const MDB_val& value) { return WireReader(bytes_of(value)).number<std::uint32_t>(); }

int remove_chunks(MDB_txn* transaction, MDB_dbi chunks, std::uint32_t number, std::span<const PackEntry> entries) {
  for (const PackEntry& entry : entries) {
    MDB_val key = value_of(entry.id);
    MDB_val value{};
    int code = mdb_get(transaction, chunks, &key, &value);
    if (code == MDB_NOTFOUND) continue;
    if (code == 0 && pack_number_of(value) == number) code = mdb_del(transaction, chunks, &key, nullptr);
    if (code != 0) return code;
  }
  return 0;
}

int remove_chunks_by_walking(MDB_txn* transaction, MDB_dbi chunks, std::uint32_t number) {
  MDB_cursor* cursor = nullptr;
  int code = mdb_cursor_open(transaction, chunks, &cursor);
  if (code != 0) return code;
  MDB_val key{};
  MDB_val value{};
  while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    if (pack_number_of(value) == number) code = mdb_cursor_del(cursor, 0);
    if (code != 0) break;
  }
  mdb_cursor_close(cursor);
  return code == MDB_NOTFOUND ? 0 : code;
}

}  // namespace

Status Index::write(std::string_view doing, const std::function<int(Environment&, MDB_txn*)>& change) {
  const auto current = environment();
  {
    const std::lock_guard lock(current->mark_mutex);
    if (!current->marked) TRY(mark_unsynced(folder_, current->mark_owner));
    current->marked = true;
    ++current->writes_running;
    ++current->writes_begun;
  }
  const auto attempt = [&]() -> Result<int> {
    std::shared_lock<std::shared_mutex> resize_lock;
    MDB_txn* const transaction = TRY(current->begin(0, resize_lock));
    const int code = change(*current, transaction);
    if (code == 0) return mdb_txn_commit(transaction);
    mdb_txn_abort(transaction);
    return code;
  };
  Status done;
  for (int attempts = 0; attempts < 20; ++attempts) {
    const Result<int> code = attempt();
    done = code ? Status{} : fail(code.error());
    if (code && *code == kConditionFails) done = fail(Code::kConflict, "The store was swept in the meantime.");
    if (code && *code != 0 && *code != kConditionFails) done = fail(lmdb_error(*code, doing));
    if (!code || *code != MDB_MAP_FULL) break;
    const Status grown = current->grow();
    if (!grown) {
      done = grown;
      break;
    }
  }
  const std::lock_guard lock(current->mark_mutex);
  --current->writes_running;
  return done;
}

Status Index::add_pack(const Digest& pack, std::span<const PackEntry> entries, const AddOptions& options) {
  // Ordered by id: the tree's pages are then visited once.
  std::vector<PackEntry> ordered(entries.begin(), entries.end());
  std::ranges::sort(ordered, {}, &PackEntry::id);
  const bool moves = options.known == AddOptions::Known::kMoves;
  const auto change = [&](Environment& tables, MDB_txn* transaction) -> int {
    if (options.generation && generation_of(transaction, tables.settings) != *options.generation) {
      return kConditionFails;
    }
    std::uint32_t number = 0;
    int code = find_number(transaction, tables.numbers, pack, number);
    // The chunks of a pack that is known are added too: one that had another place first may have lost that since.
    if (code == MDB_NOTFOUND) {
      code = next_number(transaction, tables.packs, number);
      const auto key = number_key(number);
      if (code == 0) code = put(transaction, tables.packs, value_of(key), std::as_bytes(std::span(pack.bytes)), 0);
      if (code == 0) code = put(transaction, tables.numbers, value_of(pack), key, 0);
    }
    std::vector<std::byte> value;
    for (const PackEntry& entry : ordered) {
      if (code != 0) return code;
      value.clear();
      put_number(value, number);
      put_number(value, entry.offset);
      put_number(value, entry.stored_bytes);
      put_number(value, entry.plain_bytes);
      put_number(value, static_cast<std::uint8_t>(entry.codec));
      code = put(transaction, tables.chunks, value_of(entry.id), value, moves ? 0 : MDB_NOOVERWRITE);
    }
    return code;
  };
  return write("add a pack to the index", change);
}

Status Index::follow_sweep(std::uint64_t generation, std::span<const RemovedPack> packs) {
  const auto change = [&](Environment& tables, MDB_txn* transaction) -> int {
    if (generation_of(transaction, tables.settings) >= generation) return 0;
    for (const RemovedPack& removed : packs) {
      std::uint32_t number = 0;
      int code = find_number(transaction, tables.numbers, removed.pack, number);
      if (code == MDB_NOTFOUND) continue;
      if (code == 0 && removed.entries) code = remove_chunks(transaction, tables.chunks, number, *removed.entries);
      if (code == 0 && !removed.entries) code = remove_chunks_by_walking(transaction, tables.chunks, number);
      const auto number_bytes = number_key(number);
      MDB_val number_value = value_of(number_bytes);
      MDB_val pack_value = value_of(removed.pack);
      if (code == 0) code = mdb_del(transaction, tables.packs, &number_value, nullptr);
      if (code == 0) code = mdb_del(transaction, tables.numbers, &pack_value, nullptr);
      if (code != 0) return code;
    }
    const int code = mdb_drop(transaction, tables.whole, 0);
    return code != 0 ? code : set_generation(transaction, tables.settings, generation);
  };
  return write("take swept packs out of the index", change);
}

Status Index::remember_whole(std::span<const WholeSegment> segments, std::uint64_t generation) {
  std::vector<WholeSegment> unknown;
  for (const WholeSegment& segment : segments) {
    if (!TRY(find_whole(segment.id))) unknown.push_back(segment);
  }
  if (unknown.empty()) return {};
  std::ranges::sort(unknown, {}, &WholeSegment::id);
  const auto change = [&](Environment& tables, MDB_txn* transaction) -> int {
    if (generation_of(transaction, tables.settings) != generation) return 0;
    std::vector<std::byte> value;
    for (const WholeSegment& segment : unknown) {
      value.clear();
      put_number(value, segment.disk_bytes);
      put_number(value, segment.data_bytes);
      const int code = put(transaction, tables.whole, value_of(segment.id), value, 0);
      if (code != 0) return code;
    }
    return 0;
  };
  return write("remember whole segments", change);
}

Result<std::optional<WholeSegment>> Index::find_whole(const Digest& segment) {
  const auto current = environment();
  std::shared_lock<std::shared_mutex> resize_lock;
  MDB_txn* const transaction = TRY(current->begin(MDB_RDONLY, resize_lock));
  MDB_val key = value_of(segment);
  MDB_val value{};
  const int code = mdb_get(transaction, current->whole, &key, &value);
  std::optional<WholeSegment> found;
  if (code == 0) {
    WireReader reader(bytes_of(value));
    found = {.id = segment, .disk_bytes = reader.number<std::uint32_t>(), .data_bytes = reader.number<std::uint32_t>()};
  }
  mdb_txn_abort(transaction);
  if (code != 0 && code != MDB_NOTFOUND) return fail(lmdb_error(code, "look a segment up"));
  return found;
}

Result<std::uint64_t> Index::generation() {
  const auto current = environment();
  std::shared_lock<std::shared_mutex> resize_lock;
  MDB_txn* const transaction = TRY(current->begin(MDB_RDONLY, resize_lock));
  const std::uint64_t generation = generation_of(transaction, current->settings);
  mdb_txn_abort(transaction);
  return generation;
}

Result<bool> Index::has_pack(const Digest& pack) {
  const auto current = environment();
  std::shared_lock<std::shared_mutex> resize_lock;
  MDB_txn* const transaction = TRY(current->begin(MDB_RDONLY, resize_lock));
  std::uint32_t number = 0;
  const int code = find_number(transaction, current->numbers, pack, number);
  mdb_txn_abort(transaction);
  if (code != 0 && code != MDB_NOTFOUND) return fail(lmdb_error(code, "look a pack up"));
  return code == 0;
}

}  // namespace atelier::image
