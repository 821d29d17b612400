#include "image/signed_record.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <fstream>
#include <span>

#include "image/digest.h"

namespace atelier::image {
namespace {

std::string check_line(std::string_view body) {
  return fmt::format("\"sha256:{}\"\n", sha256(std::as_bytes(std::span(body))).hex());
}

std::unexpected<Error> damaged() { return fail(Code::kDataLoss, "The record is damaged."); }

}  // namespace

std::string encode_signed(const json::object& object) {
  const std::string body = to_text(object) + "\n";
  return body + check_line(body);
}

Result<json::object> decode_signed(std::string_view text) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos) return damaged();
  const std::string_view body = text.substr(0, end + 1);
  if (text.substr(end + 1) != check_line(body)) return damaged();
  auto object = parse_json_object(body);
  if (!object) return damaged();
  return std::move(*object);
}

Stamp Stamp::now() {
  Stamp stamp{.at = atelier::now(), .boot_id = {}};
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::getline(file, stamp.boot_id);
  timespec since_boot{};
  if (::clock_gettime(CLOCK_BOOTTIME, &since_boot) == 0) {
    stamp.boot_seconds = static_cast<std::uint64_t>(since_boot.tv_sec);
  }
  return stamp;
}

std::chrono::seconds Stamp::age_at(const Stamp& later) const {
  auto age = std::chrono::duration_cast<std::chrono::seconds>(later.at - at);
  if (!boot_id.empty() && boot_id == later.boot_id) {
    const std::uint64_t passed = later.boot_seconds - std::min(boot_seconds, later.boot_seconds);
    age = std::min(age, std::chrono::seconds(passed));
  }
  return std::max(age, std::chrono::seconds(0));
}

void put_stamp(json::object& object, const Stamp& stamp) {
  object["at"] = to_rfc3339(stamp.at);
  object["bootId"] = stamp.boot_id;
  object["bootSeconds"] = stamp.boot_seconds;
}

Result<Stamp> stamp_at(const json::object& object) {
  const auto at = parse_rfc3339(string_at(object, "at"));
  if (!at) return damaged();
  return Stamp{.at = *at, .boot_id = string_at(object, "bootId"), .boot_seconds = uint_at(object, "bootSeconds")};
}

}  // namespace atelier::image
