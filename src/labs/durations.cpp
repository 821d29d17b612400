#include "labs/durations.h"

#include <fmt/format.h>

#include <cstdint>

#include "base/check.h"
#include "base/text.h"

namespace atelier::labs {
namespace {

constexpr std::int64_t kSecondsMax = 100LL * 365 * 86400;  // far above every bound of the callers

struct Unit {
  char letter;
  std::int64_t seconds;
};
constexpr Unit kDateUnits[] = {{'D', 86400}};
constexpr Unit kTimeUnits[] = {{'H', 3600}, {'M', 60}, {'S', 1}};

// Reads "<digits><letter>" groups whose letters come in the order of `units`, each at most once. Returns how many.
template <std::size_t N>
Result<int> add_groups(std::string_view& rest, const Unit (&units)[N], std::int64_t& seconds) {
  int groups = 0;
  for (const Unit& unit : units) {
    const std::size_t digits = rest.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string_view::npos || rest[digits] != unit.letter) continue;
    const std::uint64_t count = TRY(parse_uint64(rest.substr(0, digits)));
    if (count > static_cast<std::uint64_t>(kSecondsMax / unit.seconds)) return fail(Code::kInvalidArgument, "too long");
    seconds += static_cast<std::int64_t>(count) * unit.seconds;
    rest.remove_prefix(digits + 1);
    ++groups;
  }
  return groups;
}

Result<std::int64_t> read(std::string_view text) {
  const auto wrong = fail(Code::kInvalidArgument, "not a duration");
  if (!text.starts_with('P')) return wrong;
  text.remove_prefix(1);
  std::int64_t seconds = 0;
  const int days = TRY(add_groups(text, kDateUnits, seconds));
  int times = 0;
  if (text.starts_with('T')) {
    text.remove_prefix(1);
    times = TRY(add_groups(text, kTimeUnits, seconds));
    if (times == 0) return wrong;
  }
  if (!text.empty() || days + times == 0 || seconds > kSecondsMax) return wrong;
  return seconds;
}

}  // namespace

Result<std::chrono::seconds> parse_duration(std::string_view text, std::string_view target) {
  const Result<std::int64_t> seconds = read(text);
  if (seconds) return std::chrono::seconds(*seconds);
  return fail(Error(Code::kInvalidArgument,
                    fmt::format("'{}' is not an ISO 8601 duration of days, hours, minutes and seconds. Write for "
                                "example PT10H for ten hours.",
                                text.substr(0, 40)))
                  .with_target(std::string(target)));
}

std::string to_iso8601(std::chrono::seconds duration) {
  CHECK(duration.count() >= 0);
  const std::int64_t hours = duration.count() / 3600;
  const std::int64_t minutes = duration.count() % 3600 / 60;
  const std::int64_t seconds = duration.count() % 60;
  std::string text = "PT";
  if (hours > 0) text += fmt::format("{}H", hours);
  if (minutes > 0) text += fmt::format("{}M", minutes);
  if (seconds > 0 || text.size() == 2) text += fmt::format("{}S", seconds);
  return text;
}

}  // namespace atelier::labs
