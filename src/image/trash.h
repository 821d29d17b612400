// The trash of a store: packs that a sweep found to hold nothing of use. Their files stay where they are until they are
// purged, so that a read that still needs one finds it. Objects: docs/formats/store-1.md, "Trash". Free of policy; the
// protocol is in quarantine.h and docs/locking.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/bucket.h"
#include "image/digest.h"
#include "image/signed_record.h"

namespace atelier::image {

// What one sweep threw away.
struct TrashEpoch {
  std::uint64_t number = 0;
  Stamp made;
  std::vector<Digest> packs;  // ordered
  std::vector<Digest> kept;   // of them, ordered: brought back since
  bool alarmed = false;       // a read needed one: not to be purged
  bool readable = true;       // false when its record is damaged: then it holds back nothing

  bool holds(const Digest& pack) const;
};

struct Trash {
  std::uint64_t generation = 0;    // of the last sweep; 0 = there was none
  std::vector<TrashEpoch> epochs;  // ordered by number

  // The epochs that hold the pack back; none when it is in use.
  std::vector<const TrashEpoch*> holders(const Digest& pack) const;
  bool holds(const Digest& pack) const { return !holders(pack).empty(); }
};

inline constexpr std::size_t kEpochPacksMax = 1024;
inline constexpr std::string_view kTrashPrefix = "trash/";
inline constexpr std::string_view kKeptPrefix = "kept/";

// Everything in the trash. A record that is damaged is logged, and its epoch holds no pack.
Result<Trash> read_trash(Bucket& bucket);
// Throws packs away, durably and all at once: at most kEpochPacksMax, none to mark a new generation only.
// kAlreadyExists when there is such an epoch.
Status put_epoch(Bucket& bucket, std::uint64_t number, std::span<const Digest> packs);
// Brings a pack of an epoch back, durably.
Status keep_pack(Bucket& bucket, std::uint64_t epoch, const Digest& pack);
// Keeps an epoch from being purged: something in use was in it.
Status raise_alarm(Bucket& bucket, std::uint64_t epoch);
// Removes the epoch's own objects; its packs are gone, or in use again.
Status erase_epoch(Bucket& bucket, const TrashEpoch& epoch);

// Removes what is left of epochs that are gone. Under the commit lock, exclusive.
Status erase_strays(Bucket& bucket);

std::string epoch_name(std::uint64_t number);

}  // namespace atelier::image
