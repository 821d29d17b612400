// Runs queued operations on a bounded pool of threads, whatever happens to the process.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/task_context.h"
#include "ops/operation.h"

namespace atelier::db {
class Database;
class Transaction;
}  // namespace atelier::db

namespace atelier::ops {

// What an operation of one kind does.
struct Journey {
  // Idempotent: after a crash it is started again from the top, with the same input. Checks `task` often. The outcome:
  //   a value                 Succeeded; the value is the operation's result
  //   kCanceled               Canceled if somebody asked for that; back into the queue if the runner is stopping
  //   kUnavailable            Canceled if somebody asked for that; else tried again later, with growing pauses, at most
  //                           attempts_max times; then Failed
  //   any other error         Failed
  //   an exception            Failed with kInternal and a general message; the log has the details
  std::function<Result<json::object>(const Operation&, TaskContext&)> run;
  // Called in the transaction that marks the operation Failed or Canceled, e.g. to set its resource Failed. May be
  // empty. When it fails the operation ends all the same, without what on_failure wrote.
  std::function<Status(db::Transaction&, const Operation&, const Error&)> on_failure;
};

// Claims operations by lease, so that several runners (of several processes, on PostgreSQL) share one queue and the
// jobs of a dead one are taken over: on PostgreSQL when their lease ends, on SQLite at the next start, at once. So on
// SQLite there must be only one runner at a time.
class Runner {
 public:
  struct Options {
    std::size_t workers = 4;
    std::chrono::milliseconds lease{30000};             // PostgreSQL only
    std::chrono::milliseconds heartbeat{5000};          // leases are renewed and cancel requests seen so often
    std::chrono::milliseconds progress_interval{1000};  // progress is written at most so often
    std::chrono::milliseconds poll{1000};               // the queue is looked at so often when nobody calls wake()
    std::chrono::milliseconds rate_window{10000};       // bytes_per_second is over the last so long
    std::chrono::milliseconds retry_pause_first{1000};  // after kUnavailable; doubles up to …
    std::chrono::milliseconds retry_pause_max{60000};
    int attempts_max = 100;
    std::chrono::hours retention{24 * 30};  // finished operations are kept so long
    std::size_t retention_batch = 500;      // and deleted so many at a time
  };

  // `database` must outlive the runner.
  explicit Runner(db::Database& database);
  Runner(db::Database& database, const Options& options);
  // Calls stop().
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Before start(): which kinds this runner runs. Others stay in the queue.
  void handle(std::string kind, Journey journey);

  Status start();
  // Asks running jobs to stop, waits for them and puts them back into the queue. Ok to call twice.
  void stop();
  // Looks at the queue and for cancel requests now. Cheap; any thread.
  void wake();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace atelier::ops
