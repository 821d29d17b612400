// Runs work on a few threads and hands the results back in the order in which the work was given.
#pragma once

#include <cstddef>
#include <deque>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "image/bounded_queue.h"

namespace atelier::image {

// For one thread that gives and takes: give() until full(), then take(). What the work refers to must outlive this
// object: its destructor waits for work that has begun, and drops the rest.
template <typename T>
class OrderedWork {
 public:
  // At most `pending_max` pieces of work are given and not taken yet; each may hold memory of its own.
  OrderedWork(std::size_t threads, std::size_t pending_max) : pending_max_(pending_max), queue_(pending_max) {
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this] {
        while (auto work = queue_.pop()) (*work)();
      });
    }
  }
  ~OrderedWork() {
    queue_.close();
    queue_.drop();
    for (std::thread& thread : threads_) thread.join();
  }
  OrderedWork(const OrderedWork&) = delete;
  OrderedWork& operator=(const OrderedWork&) = delete;

  bool full() const { return results_.size() >= pending_max_; }
  bool empty() const { return results_.empty(); }

  template <typename Work>
  void give(Work work) {
    CHECK(!full());
    std::packaged_task<T()> task(std::move(work));
    results_.push_back(task.get_future());
    queue_.push(std::move(task));
  }

  // Waits for the oldest piece of work.
  T take() {
    CHECK(!empty());
    std::future<T> result = std::move(results_.front());
    results_.pop_front();
    return result.get();
  }

 private:
  const std::size_t pending_max_;
  BoundedQueue<std::packaged_task<T()>> queue_;
  std::deque<std::future<T>> results_;
  std::vector<std::thread> threads_;
};

}  // namespace atelier::image
