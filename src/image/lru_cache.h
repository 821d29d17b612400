// Keeps the values used last, up to a total weight. Values are shared, so that one that is thrown out stays good for
// whoever still reads from it. Thread-safe.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "image/digest.h"

namespace atelier::image {

template <typename Value>
class LruCache {
 public:
  explicit LruCache(std::size_t weight_max) : weight_max_(weight_max) {}

  // nullptr when it is not there.
  std::shared_ptr<const Value> find(const Digest& key) {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->value;
  }

  void insert(const Digest& key, std::shared_ptr<const Value> value, std::size_t weight) {
    const std::lock_guard lock(mutex_);
    if (weight > weight_max_ || places_.contains(key)) return;
    order_.push_front({key, std::move(value), weight});
    places_.emplace(key, order_.begin());
    weight_ += weight;
    while (weight_ > weight_max_) {
      weight_ -= order_.back().weight;
      places_.erase(order_.back().key);
      order_.pop_back();
    }
  }

 private:
  struct Item {
    Digest key;
    std::shared_ptr<const Value> value;
    std::size_t weight;
  };

  const std::size_t weight_max_;
  std::mutex mutex_;
  std::list<Item> order_;  // guarded by mutex_, used last first
  std::unordered_map<Digest, typename std::list<Item>::iterator, DigestHash> places_;  // guarded by mutex_
  std::size_t weight_ = 0;                                                             // guarded by mutex_
};

}  // namespace atelier::image
