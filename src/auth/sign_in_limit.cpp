#include "auth/sign_in_limit.h"

#include "auth/digests.h"
#include "base/text.h"

namespace atelier::auth {

void SignInLimit::forget_old(Clock::time_point time) {
  while (!by_first_.empty()) {
    const auto oldest = by_first_.begin();
    const bool over = time - oldest->first >= options_.window;
    if (!over && entries_.size() <= options_.entries_max) return;
    entries_.erase(oldest->second);
    by_first_.erase(oldest);
  }
}

void SignInLimit::forget(const std::string& key) {
  const auto entry = entries_.find(key);
  if (entry == entries_.end()) return;
  const auto [begin, end] = by_first_.equal_range(entry->second.first);
  for (auto place = begin; place != end; ++place) {
    if (place->second == key) {
      by_first_.erase(place);
      break;
    }
  }
  entries_.erase(entry);
}

Result<Principal> SignInLimit::attempt(std::string_view name, std::string_view address,
                                       const std::function<Result<Principal>()>& sign_in) {
  // A digest: whatever is sent as a name, an entry stays small.
  const std::string key = sha256(to_lower(name) + '\n' + std::string(address));
  {
    const std::lock_guard lock(mutex_);
    const Clock::time_point time = Clock::now();
    forget_old(time);
    const auto [entry, is_new] = entries_.try_emplace(key, Entry{.failures = 0, .first = time});
    if (is_new) by_first_.emplace(time, key);
    if (entry->second.failures >= options_.failures_max) {
      return fail(Error(Code::kResourceExhausted, "There were too many failed sign-ins. Wait a minute and try again.")
                      .with_reason("TooManyRequests"));
    }
    // Counted before the outcome is known: many at once must not get more tries than one after the other.
    ++entry->second.failures;
  }
  Result<Principal> outcome = sign_in();
  if (!outcome && outcome.error().code() == Code::kUnauthenticated) return outcome;
  const std::lock_guard lock(mutex_);
  if (outcome) {
    forget(key);
  } else if (const auto entry = entries_.find(key); entry != entries_.end() && entry->second.failures > 0) {
    --entry->second.failures;
  }
  return outcome;
}

std::size_t SignInLimit::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace atelier::auth
