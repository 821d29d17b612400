#include "ops/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "db/database.h"
#include "db/operations.h"
#include "ops/job.h"
#include "ops/operation_row.h"

namespace atelier::ops {
namespace {

// How often on_failure is tried again after failures that may pass, before the operation ends without it.
constexpr int kOnFailureTries = 20;

// On SQLite a lease ends with its process, at the next start: the clock may jump or stand still without harm.
constexpr std::chrono::hours kLeaseWithoutEnd{24 * 365 * 100};

// Failures that a later try of the same transaction may not have.
bool may_pass(const Error& error) {
  return error.code() == Code::kUnavailable || error.code() == Code::kConflict ||
         error.code() == Code::kResourceExhausted;
}

std::string name_of(const Operation& operation) { return fmt::format("operation {} {}", operation.kind, operation.id); }

// Calls a function of a journey; its exceptions become errors whose details only the log has.
template <typename Function>
std::invoke_result_t<Function> without_exceptions(const Operation& operation, Function&& fn) {
  try {
    return fn();
  } catch (const std::exception& exception) {
    log::error("{}: unexpected exception: {}", name_of(operation), exception.what());
  } catch (...) {
    log::error("{}: unexpected exception", name_of(operation));
  }
  return fail(Code::kInternal, "The operation failed unexpectedly. The server's log has the details.");
}

}  // namespace

class Runner::State {
 public:
  State(db::Database& database, const Options& options)
      : database_(database),
        options_(options),
        lease_(database.backend() == db::Database::Backend::kSqlite ? kLeaseWithoutEnd : options.lease) {}

  void handle(std::string kind, Journey journey) {
    CHECK(workers_.empty());
    kinds_.push_back(kind);
    journeys_.insert_or_assign(std::move(kind), std::move(journey));
  }
  Status start();
  void stop();
  void wake();

 private:
  enum class FirstClaim { kYes, kNo };
  void work();
  bool claim_and_run();
  void run(Job& job, FirstClaim first);
  void conclude(Job& job, const Journey& journey, const Result<json::object>& outcome);
  void finish(const Job& job, const db::OperationEnd& end, const Journey* journey, const Error* error);
  Status try_finish(const Job& job, const db::OperationEnd& end, const Journey* journey, const Error* error);
  void fail_job(const Job& job, const Journey& journey, ops::State state, const Error& error);
  void requeue(const Job& job, std::chrono::milliseconds pause, db::AttemptCounts attempt);

  void tick();
  enum class Renew { kYes, kNo };
  void look_after_jobs(Renew renew);
  void erase_old();

  // Waits for `time` or until the runner stops, or somebody calls wake() after `generation` was read.
  void pause(std::chrono::milliseconds time, std::uint64_t generation);
  void pause_for_retry(std::chrono::milliseconds time);
  std::uint64_t generation();
  bool is_stopping();
  std::vector<std::shared_ptr<Job>> jobs();

  db::Database& database_;
  const Options options_;
  const std::chrono::milliseconds lease_;
  std::vector<std::string> kinds_;
  std::map<std::string, Journey, std::less<>> journeys_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;                   // guarded by mutex_
  bool ticking_ = true;                     // guarded by mutex_
  std::uint64_t generation_ = 0;            // guarded by mutex_; grows with each wake()
  std::vector<std::shared_ptr<Job>> jobs_;  // guarded by mutex_. Shared: the ticker looks after a job that may just end

  std::vector<std::jthread> workers_;
  std::jthread ticker_;
};

Status Runner::State::start() {
  if (!workers_.empty() || is_stopping()) return fail(Code::kFailedPrecondition, "The runner was started before.");
  if (kinds_.empty()) return fail(Code::kFailedPrecondition, "The runner has no kind of operation to run.");
  if (database_.backend() == db::Database::Backend::kSqlite) {
    TRY_DURING(database_.write([](db::Transaction& t) { return db::release_leases(t); }), "take over operations");
  }
  ticker_ = std::jthread([this] { tick(); });
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.workers, 1); ++i) {
    workers_.emplace_back([this] { work(); });
  }
  return {};
}

void Runner::State::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (const auto& job : jobs()) job->stop();
  workers_.clear();  // joins; meanwhile the ticker keeps the leases
  {
    const std::lock_guard lock(mutex_);
    ticking_ = false;
  }
  changed_.notify_all();
  if (ticker_.joinable()) ticker_.join();
}

void Runner::State::wake() {
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
  }
  changed_.notify_all();
}

// --- Workers ---

void Runner::State::work() {
  while (!is_stopping()) {
    const std::uint64_t seen = generation();
    if (!claim_and_run()) pause(options_.poll, seen);
  }
}

// False when there is nothing to do.
bool Runner::State::claim_and_run() {
  const std::string lease = new_uuid();
  const Job::Clock::time_point begin = Job::Clock::now();
  const auto claimed = database_.write_rows([&](db::Transaction& transaction) {
    return db::claim_operation(transaction, {.kinds = kinds_, .lease = lease, .lease_time = lease_});
  });
  if (!claimed) log::warning("claim an operation: {}", claimed.error().message());
  if (!claimed || !*claimed) return false;
  const auto job = std::make_shared<Job>(from_row((*claimed)->row), lease, options_.rate_window);
  job->set_lease_end(begin + lease_);
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(job);
    if (stopping_) job->stop();
  }
  run(*job, (*claimed)->first ? FirstClaim::kYes : FirstClaim::kNo);
  const std::lock_guard lock(mutex_);
  std::erase(jobs_, job);
  return true;
}

void Runner::State::run(Job& job, FirstClaim first) {
  const Operation& operation = job.operation();
  const Journey& journey = journeys_.at(operation.kind);
  if (operation.attempts > options_.attempts_max) {
    return fail_job(job, journey, ops::State::kFailed,
                    Error(Code::kInternal, fmt::format("The operation was started {} times and never came to an end.",
                                                       operation.attempts - 1)));
  }
  if (operation.cancel_requested) {
    // Nothing was begun, so there is nothing to clean up.
    if (first == FirstClaim::kYes) {
      return fail_job(job, journey, ops::State::kCanceled, Error(Code::kCanceled, "The operation was canceled."));
    }
    job.cancel();
  }
  log::info("{}: start {}", name_of(operation), operation.attempts);
  conclude(job, journey, without_exceptions(operation, [&]() -> Result<json::object> {
             TaskContext context = job.context();
             return journey.run(operation, context);
           }));
}

void Runner::State::conclude(Job& job, const Journey& journey, const Result<json::object>& outcome) {
  const Operation& operation = job.operation();
  if (job.is_lost()) {
    log::warning("{}: the lease was lost; whoever has it now goes on", name_of(operation));
    return;
  }
  if (outcome) {
    const db::OperationEnd end{
        .state = std::string(to_string(ops::State::kSucceeded)), .result = *outcome, .progress = job.progress_now()};
    return finish(job, end, nullptr, nullptr);
  }
  const Error& error = outcome.error();
  const bool gave_up = error.code() == Code::kCanceled || error.code() == Code::kUnavailable;
  if (gave_up && job.is_canceled()) {
    return fail_job(job, journey, ops::State::kCanceled, Error(Code::kCanceled, "The operation was canceled."));
  }
  if (error.code() == Code::kCanceled && is_stopping()) {
    return requeue(job, std::chrono::milliseconds(0), db::AttemptCounts::kNo);
  }
  if (error.code() == Code::kUnavailable && operation.attempts < options_.attempts_max) {
    const int doublings = std::min(operation.attempts - 1, 20);
    const auto wait = std::min(options_.retry_pause_first * (1 << doublings), options_.retry_pause_max);
    log::warning("{}: {} Next try in {} ms.", name_of(operation), error.message(), wait.count());
    return requeue(job, wait, db::AttemptCounts::kYes);
  }
  fail_job(job, journey, ops::State::kFailed, error);
}

void Runner::State::fail_job(const Job& job, const Journey& journey, ops::State state, const Error& error) {
  const db::OperationEnd end{
      .state = std::string(to_string(state)), .error = error_to_json(error), .progress = job.progress_now()};
  finish(job, end, &journey, &error);
}

void Runner::State::finish(const Job& job, const db::OperationEnd& end, const Journey* journey, const Error* error) {
  const std::string name = name_of(job.operation());
  for (int tries = 1; !job.is_lost(); ++tries) {
    const Status status = try_finish(job, end, journey, error);
    if (status) {
      log::info("{}: {}{}", name, end.state, error == nullptr ? "" : ": " + error->message());
      return;
    }
    log::error("{}: could not write its end: {}", name, status.error().message());
    // Then it starts from the top at the next start.
    if (is_stopping()) return;
    // What on_failure asks for cannot be: end the operation without it, or it would block its target for ever.
    if (!may_pass(status.error()) || tries >= kOnFailureTries) journey = nullptr;
    pause_for_retry(options_.retry_pause_first);
  }
}

Status Runner::State::try_finish(const Job& job, const db::OperationEnd& end, const Journey* journey,
                                 const Error* error) {
  return database_.write([&](db::Transaction& transaction) -> Status {
    const Operation& operation = job.operation();
    if (!TRY(db::finish_operation(transaction, operation.id, job.lease(), end))) {
      log::warning("{}: the lease was lost; its end was not written", name_of(operation));
      return {};
    }
    if (journey == nullptr || !journey->on_failure) return {};
    return without_exceptions(operation, [&] { return journey->on_failure(transaction, operation, *error); });
  });
}

void Runner::State::requeue(const Job& job, std::chrono::milliseconds wait, db::AttemptCounts attempt) {
  while (!job.is_lost()) {
    const auto held = database_.write_rows([&](db::Transaction& transaction) {
      return db::requeue_operation(transaction, job.operation().id, job.lease(), wait, attempt);
    });
    if (held) return;
    log::warning("{}: could not go back to the queue: {}", name_of(job.operation()), held.error().message());
    // Then its lease ends by itself.
    if (is_stopping()) return;
    pause_for_retry(options_.retry_pause_first);
  }
}

// --- The ticker: progress, leases, cancel requests, retention ---

void Runner::State::tick() {
  Job::Clock::time_point next_heartbeat = Job::Clock::now() + options_.heartbeat;
  Job::Clock::time_point next_erase = Job::Clock::now();
  Job::Clock::time_point next_progress = Job::Clock::now() + options_.progress_interval;
  std::uint64_t seen = generation();
  std::unique_lock lock(mutex_);
  while (ticking_) {
    const bool woken = generation_ != seen;
    seen = generation_;
    const Job::Clock::time_point time = Job::Clock::now();
    if (woken || time >= next_progress || time >= next_heartbeat) {
      lock.unlock();
      const bool renew = woken || time >= next_heartbeat;
      look_after_jobs(renew ? Renew::kYes : Renew::kNo);
      if (renew) next_heartbeat = time + options_.heartbeat;
      next_progress = time + options_.progress_interval;
      if (time >= next_erase) {
        erase_old();
        next_erase = time + std::chrono::hours(1);
      }
      lock.lock();
    }
    changed_.wait_until(lock, std::min(next_heartbeat, next_progress),
                        [&] { return !ticking_ || generation_ != seen; });
  }
}

// One transaction for all jobs: one wait for the disk, however many run.
void Runner::State::look_after_jobs(Renew renew) {
  struct Duty {
    std::shared_ptr<Job> job;
    std::optional<json::object> progress;
    db::LeaseState lease;
  };
  std::vector<Duty> duties;
  for (auto& job : jobs()) {
    auto progress = job->take_changed_progress();
    if (progress || renew == Renew::kYes) duties.push_back({std::move(job), std::move(progress), {}});
  }
  if (duties.empty()) return;
  const Job::Clock::time_point begin = Job::Clock::now();
  const Status status = database_.write_rows([&](db::Transaction& transaction) -> Status {
    for (Duty& duty : duties) {
      const std::string& id = duty.job->operation().id;
      const std::string& lease = duty.job->lease();
      if (duty.progress) duty.lease = TRY(db::write_progress(transaction, id, lease, *duty.progress));
      if (renew == Renew::kYes) duty.lease = TRY(db::renew_lease(transaction, id, lease, lease_));
    }
    return {};
  });
  if (!status) log::warning("look after running operations: {}", status.error().message());
  for (const Duty& duty : duties) {
    Job& job = *duty.job;
    if (!status) {
      if (begin >= job.lease_end()) job.lose();
      continue;
    }
    // A job that has just ended holds no lease any more; to stop it then does nothing.
    if (!duty.lease.held) job.lose();
    if (duty.lease.held && duty.lease.cancel_requested) job.cancel();
    if (duty.lease.held && renew == Renew::kYes) job.set_lease_end(begin + lease_);
  }
}

void Runner::State::erase_old() {
  const TimePoint before = now() - options_.retention;
  while (!is_stopping()) {
    const auto erased = database_.write_rows(
        [&](db::Transaction& t) { return db::erase_finished_operations(t, before, options_.retention_batch); });
    if (!erased) log::warning("erase old operations: {}", erased.error().message());
    if (!erased || *erased < options_.retention_batch) return;
  }
}

// --- Waiting ---

void Runner::State::pause(std::chrono::milliseconds time, std::uint64_t seen) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return stopping_ || generation_ != seen; });
}

void Runner::State::pause_for_retry(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return stopping_; });
}

std::uint64_t Runner::State::generation() {
  const std::lock_guard lock(mutex_);
  return generation_;
}

bool Runner::State::is_stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

std::vector<std::shared_ptr<Job>> Runner::State::jobs() {
  const std::lock_guard lock(mutex_);
  return jobs_;
}

// --- The class that others see ---

Runner::Runner(db::Database& database) : Runner(database, Options()) {}
Runner::Runner(db::Database& database, const Options& options) : state_(std::make_unique<State>(database, options)) {}
Runner::~Runner() { stop(); }
void Runner::handle(std::string kind, Journey journey) { state_->handle(std::move(kind), std::move(journey)); }
Status Runner::start() { return state_->start(); }
void Runner::stop() { state_->stop(); }
void Runner::wake() { state_->wake(); }

}  // namespace atelier::ops
