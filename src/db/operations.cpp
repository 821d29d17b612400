#include "db/operations.h"

#include <fmt/format.h>

#include "db/transaction.h"

namespace atelier::db {
namespace {

constexpr auto kColumns =
    "id, kind, subscription_id, location, target_id, principal, exclusive_key, input, result, state, progress, error,"
    " progress_at, attempts, cancel_requested, created_at, started_at, ended_at";

std::optional<TimePoint> to_optional_time(Number milliseconds) {
  if (milliseconds == 0) return std::nullopt;
  return to_time(milliseconds);
}

struct Row {
  OperationRow row;
  std::string input;
  std::string result;
  std::string progress;
  std::string error;
  Number progress_at = 0;
  Number attempts = 0;
  Number cancel_requested = 0;
  Number created_at = 0;
  Number started_at = 0;
  Number ended_at = 0;

  // In the order of kColumns.
  void exchange_into(soci::statement& statement) {
    for (std::string* text : {&row.id, &row.kind, &row.subscription_id, &row.location, &row.target_id, &row.principal,
                              &row.exclusive_key, &input, &result, &row.state, &progress, &error}) {
      statement.exchange(soci::into(*text));
    }
    for (Number* number : {&progress_at, &attempts, &cancel_requested, &created_at, &started_at, &ended_at}) {
      statement.exchange(soci::into(*number));
    }
  }

  Result<OperationRow> to_row() const {
    OperationRow filled = row;
    filled.input = TRY(parse_column(input));
    filled.result = TRY(parse_column(result));
    filled.progress = TRY(parse_column(progress));
    filled.error = TRY(parse_column(error));
    filled.progress_at = to_time(progress_at);
    filled.attempts = attempts;
    filled.cancel_requested = cancel_requested != 0;
    filled.created_at = to_time(created_at);
    filled.started_at = to_optional_time(started_at);
    filled.ended_at = to_optional_time(ended_at);
    return filled;
  }
};

// Conditions joined by "and", with the values of their parameters.
struct Where {
  struct Parameter {
    std::string name;
    std::string value;
  };
  std::string text = "1 = 1";
  std::vector<Parameter> parameters;

  void add(std::string_view condition) { text += fmt::format(" and {}", condition); }
  void bind(std::string name, std::string value) { parameters.push_back({std::move(name), std::move(value)}); }
};

Result<std::vector<OperationRow>> select(Transaction& transaction, const Where& where, std::string_view order,
                                         std::size_t limit) {
  const auto rows_max = static_cast<Number>(limit);
  Row row;
  soci::statement statement(transaction.sql());
  row.exchange_into(statement);
  for (const Where::Parameter& parameter : where.parameters) {
    statement.exchange(soci::use(parameter.value, parameter.name));
  }
  statement.exchange(soci::use(rows_max, "rows_max"));
  statement.alloc();
  statement.prepare(
      fmt::format("select {} from operations where {} order by {} limit :rows_max", kColumns, where.text, order));
  statement.define_and_bind();
  statement.execute();
  std::vector<OperationRow> rows;
  while (statement.fetch()) rows.push_back(TRY(row.to_row()));
  return rows;
}

Result<std::optional<OperationRow>> select_one(Transaction& transaction, const Where& where) {
  std::vector<OperationRow> rows = TRY(select(transaction, where, "id", 1));
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

// Leases are compared with one clock: on PostgreSQL the server's, because several machines claim.
Number clock_now(Transaction& transaction) {
  if (transaction.backend() == Database::Backend::kSqlite) return to_number(now());
  Number milliseconds = 0;
  transaction.sql() << "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint)", soci::into(milliseconds);
  return milliseconds;
}

}  // namespace

Status insert_operation(Transaction& transaction, const OperationRow& row) {
  for (const std::string* text :
       {&row.id, &row.kind, &row.subscription_id, &row.location, &row.target_id, &row.principal, &row.exclusive_key}) {
    if (has_nul(*text)) return fail(Code::kInvalidArgument, "A field of an operation must not hold a NUL.");
  }
  return guarded(transaction, "insert an operation", [&]() -> Status {
    const std::string subscription_key = to_lower(row.subscription_id);
    const std::string target_key = to_lower(row.target_id);
    const std::string input = to_text(row.input);
    const Number created_at = clock_now(transaction);
    transaction.sql() << "insert into operations (id, kind, subscription_id, subscription_key, location, target_id,"
                         " target_key, principal, exclusive_key, input, result, state, progress, progress_at, error,"
                         " attempts, cancel_requested, created_at, started_at, ended_at, lease, lease_until, run_after)"
                         " values (:id, :kind, :subscription_id, :subscription_key, :location, :target_id, :target_key,"
                         " :principal, :exclusive_key, :input, '{}', 'NotStarted', '{}', 0, '{}', 0, 0, :created_at,"
                         " 0, 0, '', 0, 0)",
        soci::use(row.id, "id"), soci::use(row.kind, "kind"), soci::use(row.subscription_id, "subscription_id"),
        soci::use(subscription_key, "subscription_key"), soci::use(row.location, "location"),
        soci::use(row.target_id, "target_id"), soci::use(target_key, "target_key"),
        soci::use(row.principal, "principal"), soci::use(row.exclusive_key, "exclusive_key"), soci::use(input, "input"),
        soci::use(created_at, "created_at");
    return {};
  });
}

Result<std::optional<OperationRow>> find_operation(Transaction& transaction, std::string_view id) {
  if (has_nul(id)) return std::nullopt;
  return guarded(transaction, "find an operation", [&]() -> Result<std::optional<OperationRow>> {
    Where where;
    where.add("id = :id");
    where.bind("id", to_lower(id));
    return select_one(transaction, where);
  });
}

Result<std::optional<OperationRow>> find_exclusive_operation(Transaction& transaction, std::string_view exclusive_key) {
  if (has_nul(exclusive_key)) return std::nullopt;
  return guarded(transaction, "find an exclusive operation", [&]() -> Result<std::optional<OperationRow>> {
    Where where;
    where.add("exclusive_key = :key and exclusive_key <> '' and ended_at = 0");
    where.bind("key", std::string(exclusive_key));
    return select_one(transaction, where);
  });
}

Result<std::vector<OperationRow>> list_operations(Transaction& transaction, const OperationQuery& query) {
  for (const std::string* text : {&query.subscription_id, &query.target_prefix, &query.state, &query.after_id}) {
    if (has_nul(*text)) return std::vector<OperationRow>();
  }
  return guarded(transaction, "list operations", [&]() -> Result<std::vector<OperationRow>> {
    Where where;
    if (!query.subscription_id.empty()) {
      where.add("subscription_key = :subscription");
      where.bind("subscription", to_lower(query.subscription_id));
    }
    if (!query.target_prefix.empty()) {
      where.add("(target_key = :target or (target_key > :low and target_key < :high))");
      where.bind("target", to_lower(query.target_prefix));
      where.bind("low", below_low(query.target_prefix));
      where.bind("high", below_high(query.target_prefix));
    }
    if (!query.state.empty()) {
      where.add("state = :state");
      where.bind("state", query.state);
    }
    if (query.unfinished_only) where.add("ended_at = 0");
    if (!query.after_id.empty()) {
      const std::optional<OperationRow> last = TRY(find_operation(transaction, query.after_id));
      if (!last)
        return fail(Code::kInvalidArgument, "The page's starting point no longer exists. List from the start.");
      // A number of our own; the id is text from outside.
      where.add(fmt::format("(created_at, id) < ({}, :after)", to_number(last->created_at)));
      where.bind("after", last->id);
    }
    return select(transaction, where, "created_at desc, id desc", query.limit);
  });
}

Result<bool> request_operation_cancel(Transaction& transaction, std::string_view id) {
  if (has_nul(id)) return false;
  return guarded(transaction, "request a cancel", [&]() -> Result<bool> {
    const std::string key = to_lower(id);
    // run_after: a job that waits for its next try must hear of it now.
    soci::statement statement =
        (transaction.sql().prepare
             << "update operations set cancel_requested = 1, run_after = 0 where id = :id and ended_at = 0",
         soci::use(key, "id"));
    return affected_rows(statement) == 1;
  });
}

Status release_leases(Transaction& transaction) {
  return guarded(transaction, "release leases", [&]() -> Status {
    transaction.sql() << "update operations set lease = '', lease_until = 0 where ended_at = 0 and lease <> ''";
    return {};
  });
}

Result<std::optional<Claimed>> claim_operation(Transaction& transaction, const Claim& claim) {
  return guarded(transaction, "claim an operation", [&]() -> Result<std::optional<Claimed>> {
    const Number time = clock_now(transaction);
    std::string kinds;
    for (std::size_t i = 0; i < claim.kinds.size(); ++i) kinds += fmt::format("{}:kind{}", i == 0 ? "" : ", ", i);
    std::string id;
    Number started_at = 0;
    soci::statement statement(transaction.sql());
    statement.exchange(soci::into(id));
    statement.exchange(soci::into(started_at));
    statement.exchange(soci::use(time, "time"));
    for (std::size_t i = 0; i < claim.kinds.size(); ++i) {
      statement.exchange(soci::use(claim.kinds[i], fmt::format("kind{}", i)));
    }
    statement.alloc();
    statement.prepare(
        fmt::format("select id, started_at from operations where ended_at = 0 and lease_until <= :time and"
                    " run_after <= :time and kind in ({}) order by created_at, id limit 1{}",
                    kinds, transaction.backend() == Database::Backend::kPostgresql ? " for update skip locked" : ""));
    statement.define_and_bind();
    if (!statement.execute(true)) return std::nullopt;

    const Number lease_until = time + claim.lease_time.count();
    transaction.sql() << "update operations set lease = :lease, lease_until = :lease_until, state = 'InProgress',"
                         " attempts = attempts + 1,"
                         " started_at = case when started_at = 0 then :time else started_at end where id = :id",
        soci::use(claim.lease, "lease"), soci::use(lease_until, "lease_until"), soci::use(time, "time"),
        soci::use(id, "id");
    std::optional<OperationRow> row = TRY(find_operation(transaction, id));
    if (!row) return std::nullopt;
    return Claimed{.row = std::move(*row), .first = started_at == 0};
  });
}

namespace {

// Runs an update that returns cancel_requested of the one row it may change.
Result<LeaseState> lease_state_of(soci::statement& statement, const Number& cancel_requested) {
  const bool held = statement.execute(true);
  return LeaseState{.held = held, .cancel_requested = held && cancel_requested != 0};
}

}  // namespace

Result<LeaseState> renew_lease(Transaction& transaction, std::string_view id, std::string_view lease,
                               std::chrono::milliseconds lease_time) {
  return guarded(transaction, "renew a lease", [&]() -> Result<LeaseState> {
    const std::string key(id);
    const std::string name(lease);
    const Number lease_until = clock_now(transaction) + lease_time.count();
    Number cancel_requested = 0;
    soci::statement statement =
        (transaction.sql().prepare << "update operations set lease_until = :lease_until where id = :id and"
                                      " lease = :lease and ended_at = 0 returning cancel_requested",
         soci::use(lease_until, "lease_until"), soci::use(key, "id"), soci::use(name, "lease"),
         soci::into(cancel_requested));
    return lease_state_of(statement, cancel_requested);
  });
}

Result<LeaseState> write_progress(Transaction& transaction, std::string_view id, std::string_view lease,
                                  const json::object& progress) {
  return guarded(transaction, "write progress", [&]() -> Result<LeaseState> {
    const std::string key(id);
    const std::string name(lease);
    const std::string text = to_text(progress);
    const Number time = clock_now(transaction);
    Number cancel_requested = 0;
    soci::statement statement =
        (transaction.sql().prepare << "update operations set progress = :progress, progress_at = :time where id = :id"
                                      " and lease = :lease and ended_at = 0 returning cancel_requested",
         soci::use(text, "progress"), soci::use(time, "time"), soci::use(key, "id"), soci::use(name, "lease"),
         soci::into(cancel_requested));
    return lease_state_of(statement, cancel_requested);
  });
}

Result<bool> finish_operation(Transaction& transaction, std::string_view id, std::string_view lease,
                              const OperationEnd& end) {
  return guarded(transaction, "finish an operation", [&]() -> Result<bool> {
    const std::string key(id);
    const std::string name(lease);
    const std::string result = to_text(end.result);
    const std::string error = to_text(end.error);
    const std::string progress = to_text(end.progress);
    const Number time = clock_now(transaction);
    soci::statement statement =
        (transaction.sql().prepare << "update operations set state = :state, result = :result, error = :error,"
                                      " progress = :progress, progress_at = :time, ended_at = :time, lease = '',"
                                      " lease_until = 0 where id = :id and lease = :lease and ended_at = 0",
         soci::use(end.state, "state"), soci::use(result, "result"), soci::use(error, "error"),
         soci::use(progress, "progress"), soci::use(time, "time"), soci::use(key, "id"), soci::use(name, "lease"));
    return affected_rows(statement) == 1;
  });
}

Result<bool> requeue_operation(Transaction& transaction, std::string_view id, std::string_view lease,
                               std::chrono::milliseconds pause, AttemptCounts attempt) {
  return guarded(transaction, "requeue an operation", [&]() -> Result<bool> {
    const std::string key(id);
    const std::string name(lease);
    const Number run_after = clock_now(transaction) + pause.count();
    const Number taken_back = attempt == AttemptCounts::kNo ? 1 : 0;
    // A cancel may have come while the job was on its way back: that must not wait for the pause.
    soci::statement statement =
        (transaction.sql().prepare
             << "update operations set lease = '', lease_until = 0, attempts = attempts - cast(:taken_back as bigint),"
                " run_after = case when cancel_requested = 1 then 0 else cast(:run_after as bigint) end"
                " where id = :id and lease = :lease and ended_at = 0",
         soci::use(taken_back, "taken_back"), soci::use(run_after, "run_after"), soci::use(key, "id"),
         soci::use(name, "lease"));
    return affected_rows(statement) == 1;
  });
}

Result<std::size_t> erase_finished_operations(Transaction& transaction, TimePoint before, std::size_t limit) {
  return guarded(transaction, "erase finished operations",
                 [&]() -> Result<std::size_t> {
                   const Number time = to_number(before);
                   const auto rows_max = static_cast<Number>(limit);
                   soci::statement statement =
                       (transaction.sql().prepare
                            << "delete from operations where id in (select id from operations where ended_at <> 0 and"
                               " ended_at < :time order by ended_at limit :rows_max)",
                        soci::use(time, "time"), soci::use(rows_max, "rows_max"));
                   return static_cast<std::size_t>(affected_rows(statement));
                 });
}

}  // namespace atelier::db
