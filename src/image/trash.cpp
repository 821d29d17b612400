#include "image/trash.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/check.h"
#include "base/log.h"

namespace atelier::image {
namespace {

constexpr std::size_t kNumberDigits = 16;
constexpr std::string_view kAlarmSuffix = "-alarm";

std::string number_text(std::uint64_t number) { return fmt::format("{:016}", number); }
std::string alarm_name(std::uint64_t number) { return epoch_name(number) + std::string(kAlarmSuffix); }
std::string kept_name(std::uint64_t epoch, const Digest& pack) {
  return fmt::format("{}{}-{}", kKeptPrefix, number_text(epoch), pack.hex());
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (text.size() != kNumberDigits) return std::nullopt;
  const auto number = parse_uint64(text);
  if (!number) return std::nullopt;
  return *number;
}

Result<TrashEpoch> read_epoch(Bucket& bucket, std::uint64_t number) {
  const auto bytes = TRY(get_all(bucket, epoch_name(number), kSignedRecordBytesMax));
  const auto object = TRY(decode_signed({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  TrashEpoch epoch {
    .number = number, .made = TRY(stamp_at(object))
    , .packs = {}, .kept = {}
  };
  const json::value* const packs = find(object, "packs");
  if (uint_at(object, "format") != 1 || uint_at(object, "epoch") != number || packs == nullptr || !packs->is_array()) {
    return fail(Code::kDataLoss, "The record is damaged.");
  }
  for (const json::value& value : packs->as_array()) {
    if (!value.is_string()) return fail(Code::kDataLoss, "The record is damaged.");
    epoch.packs.push_back(TRY(Digest::parse(std::string_view(value.as_string()))));
  }
  std::ranges::sort(epoch.packs);
  return epoch;
}

// "0000000000000007-<hex>" as an epoch's number and a pack.
std::optional<std::pair<std::uint64_t, Digest>> parse_kept(std::string_view text) {
  const auto number = parse_number(text.substr(0, kNumberDigits));
  if (!number || text.size() <= kNumberDigits) return std::nullopt;
  const auto pack = Digest::parse(text.substr(kNumberDigits + 1));
  if (!pack) return std::nullopt;
  return std::pair{*number, *pack};
}

// Succeeds also when the object is there.
Status put_once(Bucket& bucket, const std::string& name, const json::object& object) {
  const std::string text = encode_signed(object);
  const Status made = bucket.put(name, std::as_bytes(std::span(text)));
  if (!made && made.error().code() == Code::kAlreadyExists) return {};
  return made;
}

}  // namespace

std::string epoch_name(std::uint64_t number) { return std::string(kTrashPrefix) + number_text(number); }

bool TrashEpoch::holds(const Digest& pack) const {
  return std::ranges::binary_search(packs, pack) && !std::ranges::binary_search(kept, pack);
}

std::vector<const TrashEpoch*> Trash::holders(const Digest& pack) const {
  std::vector<const TrashEpoch*> found;
  for (const TrashEpoch& epoch : epochs) {
    if (epoch.holds(pack)) found.push_back(&epoch);
  }
  return found;
}

Result<Trash> read_trash(Bucket& bucket) {
  Trash trash;
  std::vector<std::uint64_t> alarmed;
  for (const BucketEntry& entry : TRY(bucket.list(kTrashPrefix))) {
    const std::string_view text = std::string_view(entry.name).substr(kTrashPrefix.size());
    const auto number = parse_number(text.substr(0, kNumberDigits));
    if (!number || *number == 0) continue;
    if (text.size() > kNumberDigits) {
      alarmed.push_back(*number);
      continue;
    }
    auto epoch = read_epoch(bucket, *number);
    // Erased in the meantime: it was not the last one.
    if (!epoch && epoch.error().code() == Code::kNotFound) continue;
    if (!epoch && epoch.error().code() != Code::kDataLoss) return fail(epoch.error());
    if (!epoch) log::error("store: {}: {}", entry.name, epoch.error().message());
    if (!epoch) epoch = TrashEpoch{.number = *number, .made = {}, .packs = {}, .kept = {}, .readable = false};
    trash.epochs.push_back(std::move(*epoch));
  }
  if (trash.epochs.empty()) return trash;
  trash.generation = trash.epochs.back().number;
  for (const BucketEntry& entry : TRY(bucket.list(kKeptPrefix))) {
    const auto kept = parse_kept(std::string_view(entry.name).substr(kKeptPrefix.size()));
    if (!kept) continue;
    const auto epoch = std::ranges::find(trash.epochs, kept->first, &TrashEpoch::number);
    if (epoch != trash.epochs.end()) epoch->kept.push_back(kept->second);
  }
  for (TrashEpoch& epoch : trash.epochs) {
    std::ranges::sort(epoch.kept);
    epoch.alarmed = std::ranges::find(alarmed, epoch.number) != alarmed.end();
  }
  return trash;
}

Status put_epoch(Bucket& bucket, std::uint64_t number, std::span<const Digest> packs) {
  CHECK(number > 0 && packs.size() <= kEpochPacksMax);
  json::array names;
  for (const Digest& pack : packs) names.emplace_back(pack.hex());
  json::object object{{"format", 1}, {"epoch", number}};
  put_stamp(object, Stamp::now());
  object["packs"] = std::move(names);
  const std::string text = encode_signed(object);
  return bucket.put(epoch_name(number), std::as_bytes(std::span(text)));
}

Status keep_pack(Bucket& bucket, std::uint64_t epoch, const Digest& pack) {
  json::object object{{"format", 1}};
  put_stamp(object, Stamp::now());
  return put_once(bucket, kept_name(epoch, pack), object);
}

Status raise_alarm(Bucket& bucket, std::uint64_t epoch) {
  json::object object{{"format", 1}};
  put_stamp(object, Stamp::now());
  return put_once(bucket, alarm_name(epoch), object);
}

Status erase_strays(Bucket& bucket) {
  std::set<std::uint64_t> known;
  const auto trash = TRY(bucket.list(kTrashPrefix));
  for (const BucketEntry& entry : trash) {
    const auto number = parse_number(std::string_view(entry.name).substr(kTrashPrefix.size()));
    if (number) known.insert(*number);
  }
  const auto erase = [&](const std::vector<BucketEntry>& entries, std::string_view prefix) -> Status {
    for (const BucketEntry& entry : entries) {
      const auto number = parse_number(std::string_view(entry.name).substr(prefix.size()).substr(0, kNumberDigits));
      if (number && !known.contains(*number)) TRY(bucket.erase(entry.name));
    }
    return {};
  };
  TRY(erase(trash, kTrashPrefix));
  const auto kept = TRY(bucket.list(kKeptPrefix));
  return erase(kept, kKeptPrefix);
}

// The record first: what would be left of it without the others says that packs are in the trash that are in use.
Status erase_epoch(Bucket& bucket, const TrashEpoch& epoch) {
  TRY(bucket.erase(epoch_name(epoch.number)));
  if (epoch.alarmed) TRY(bucket.erase(alarm_name(epoch.number)));
  for (const Digest& pack : epoch.kept) TRY(bucket.erase(kept_name(epoch.number, pack)));
  return {};
}

}  // namespace atelier::image
