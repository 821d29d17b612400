// Small objects of a store that are not chunks: a JSON object on one line, and a second line with the digest of the
// first. And moments in them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace atelier::image {

inline constexpr std::size_t kSignedRecordBytesMax = 1 << 20;

std::string encode_signed(const json::object& object);
// kDataLoss when the lines do not fit each other.
Result<json::object> decode_signed(std::string_view text);

// A moment, told so that a clock that is set does not change how long ago it was: within one boot of the machine the
// time since boot counts as well.
struct Stamp {
  TimePoint at;
  std::string boot_id;
  std::uint64_t boot_seconds = 0;

  static Stamp now();
  // At least so long ago: never negative, and within one boot never more than what has really passed.
  std::chrono::seconds age() const { return age_at(now()); }
  std::chrono::seconds age_at(const Stamp& later) const;
};

// Its three fields: "at", "bootId", "bootSeconds".
void put_stamp(json::object& object, const Stamp& stamp);
// kDataLoss when "at" is no time.
Result<Stamp> stamp_at(const json::object& object);

}  // namespace atelier::image
