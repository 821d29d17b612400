// The two questions long work may ask of whoever started it: shall I stop? and: here is how far I am.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "base/error.h"

namespace atelier {

// How far a job is. Byte counts only ever grow within one run of a job; total may be corrected.
struct Progress {
  std::string phase;              // one word of the job's own: "Preparing", "Reading", "Committing"
  std::uint64_t bytes_done = 0;   // of the job's input, holes included once they are passed over
  std::uint64_t bytes_total = 0;  // 0 while unknown
  std::uint64_t bytes_new = 0;    // plain bytes that the store did not have
  std::uint64_t bytes_known = 0;  // plain bytes that the store had already
};

// Handed down by reference to everything that may take longer than a moment. Any thread may use it.
class TaskContext {
 public:
  using Report = std::function<void(const Progress&)>;

  // Never stops and tells nobody: for tests and for the command line's short work.
  TaskContext() = default;
  // `report` may be called often and from several threads; the receiver thins out.
  TaskContext(std::stop_token stop, Report report) : stop_(std::move(stop)), report_(std::move(report)) {}

  bool stop_requested() const { return stop_.stop_requested(); }
  const std::stop_token& stop_token() const { return stop_; }
  // kCanceled when somebody asked to stop: TRY(task.check()) at every step that may be the last.
  Status check() const {
    if (stop_requested()) return fail(Code::kCanceled, "The operation was canceled.");
    return {};
  }
  void report(const Progress& progress) const {
    if (report_) report_(progress);
  }

 private:
  std::stop_token stop_;
  Report report_;
};

}  // namespace atelier
