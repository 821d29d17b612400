// Slows down guessing: counts failed sign-ins per name and address.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "auth/principals.h"
#include "base/error.h"

namespace atelier::auth {

// Any thread may use it. In memory: a restart forgets.
class SignInLimit {
 public:
  struct Options {
    std::size_t failures_max = 5;       // in one window, per name and address
    std::chrono::seconds window{60};    // counted from the first failure
    std::size_t entries_max = 100'000;  // the oldest go first
  };

  SignInLimit() = default;
  explicit SignInLimit(const Options& options) : options_(options) {}

  // Calls `sign_in` unless there were too many failures; then kResourceExhausted (reason "TooManyRequests"). A failure
  // with kUnauthenticated counts, a success forgets the failures of this name and address.
  Result<Principal> attempt(std::string_view name, std::string_view address,
                            const std::function<Result<Principal>()>& sign_in);

  std::size_t entries() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    std::size_t failures = 0;
    Clock::time_point first;
  };

  // Both with mutex_ held.
  void forget_old(Clock::time_point time);
  void forget(const std::string& key);

  const Options options_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;       // guarded by mutex_
  std::multimap<Clock::time_point, std::string> by_first_;  // guarded by mutex_
};

}  // namespace atelier::auth
