#include "db/resources.h"

#include <fmt/format.h>

#include <algorithm>

#include "db/transaction.h"

namespace atelier::db {
namespace {

constexpr auto kColumns =
    "id, type, name, parent_id, subscription_id, resource_group, location, tags, properties, internal,"
    " provisioning_state, created_by, changed_by, created_at, changed_at, revision";

// A row as SOCI fills and reads it.
struct Row {
  Resource resource;
  std::string key;
  std::string type_key;
  std::string parent_key;
  std::string tags;
  std::string properties;
  std::string internal;
  Number created_at = 0;
  Number changed_at = 0;
  Number revision = 0;

  Row() = default;
  explicit Row(const Resource& from)
      : resource(from),
        key(to_lower(from.id)),
        type_key(to_lower(from.type)),
        parent_key(to_lower(from.parent_id)),
        tags(to_text(from.tags)),
        properties(to_text(from.properties)),
        internal(to_text(from.internal)),
        created_at(to_number(from.created_at)),
        changed_at(to_number(from.changed_at)),
        revision(from.revision) {}

  // In the order of kColumns.
  void exchange_into(soci::statement& statement) {
    for (std::string* text :
         {&resource.id, &resource.type, &resource.name, &resource.parent_id, &resource.subscription_id,
          &resource.resource_group, &resource.location, &tags, &properties, &internal, &resource.provisioning_state,
          &resource.created_by, &resource.changed_by}) {
      statement.exchange(soci::into(*text));
    }
    for (Number* number : {&created_at, &changed_at, &revision}) statement.exchange(soci::into(*number));
  }

  Result<Resource> to_resource() const {
    Resource result = resource;
    result.tags = TRY(parse_column(tags));
    result.properties = TRY(parse_column(properties));
    result.internal = TRY(parse_column(internal));
    result.created_at = to_time(created_at);
    result.changed_at = to_time(changed_at);
    result.revision = revision;
    return result;
  }
};

struct Binding {
  const char* name;
  const std::string& value;
};

Result<std::vector<Resource>> select(Transaction& transaction, const std::string& conditions,
                                     std::initializer_list<Binding> bindings, std::size_t limit) {
  const auto rows_max = static_cast<Number>(limit);
  Row row;
  soci::statement statement(transaction.sql());
  row.exchange_into(statement);
  for (const Binding& binding : bindings) statement.exchange(soci::use(binding.value, binding.name));
  statement.exchange(soci::use(rows_max, "rows_max"));
  statement.alloc();
  statement.prepare(
      fmt::format("select {} from resources where {} order by key limit :rows_max", kColumns, conditions));
  statement.define_and_bind();
  statement.execute();
  std::vector<Resource> resources;
  while (statement.fetch()) resources.push_back(TRY(row.to_resource()));
  return resources;
}

Status check_id(std::string_view id) {
  const bool has_control = std::any_of(id.begin(), id.end(), [](char c) { return (c & 0xe0) == 0 || c == 0x7f; });
  if (!id.starts_with('/') || id.ends_with('/') || has_control) {
    return fail(Code::kInvalidArgument,
                "A resource id begins with '/', does not end with one, and holds no control characters.");
  }
  return {};
}

}  // namespace

Result<std::optional<Resource>> find_resource(Transaction& transaction, std::string_view id) {
  if (has_nul(id)) return std::nullopt;
  return guarded(transaction, "find a resource", [&]() -> Result<std::optional<Resource>> {
    const std::string key = to_lower(id);
    std::vector<Resource> found = TRY(select(transaction, "key = :key", {{"key", key}}, 1));
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
  });
}

Status insert_resource(Transaction& transaction, Resource& resource) {
  TRY(check_id(resource.id));
  Resource stored = resource;
  stored.revision = 1;
  if (stored.created_at == TimePoint()) stored.created_at = now();
  if (stored.changed_at == TimePoint()) stored.changed_at = stored.created_at;
  return guarded(transaction, "insert a resource", [&]() -> Status {
    const Row row(stored);
    // With "do nothing" a name that is taken does not spoil the transaction.
    soci::statement statement =
        (transaction.sql().prepare
             << "insert into resources (key, id, type, type_key, name, parent_id, parent_key, subscription_id,"
                " resource_group, location, tags, properties, internal, provisioning_state, created_by, changed_by,"
                " created_at, changed_at, revision) values (:key, :id, :type, :type_key, :name, :parent_id,"
                " :parent_key, :subscription_id, :resource_group, :location, :tags, :properties, :internal, :state,"
                " :created_by, :changed_by, :created_at, :changed_at, :revision) on conflict (key) do nothing",
         soci::use(row.key, "key"), soci::use(stored.id, "id"), soci::use(stored.type, "type"),
         soci::use(row.type_key, "type_key"), soci::use(stored.name, "name"), soci::use(stored.parent_id, "parent_id"),
         soci::use(row.parent_key, "parent_key"), soci::use(stored.subscription_id, "subscription_id"),
         soci::use(stored.resource_group, "resource_group"), soci::use(stored.location, "location"),
         soci::use(row.tags, "tags"), soci::use(row.properties, "properties"), soci::use(row.internal, "internal"),
         soci::use(stored.provisioning_state, "state"), soci::use(stored.created_by, "created_by"),
         soci::use(stored.changed_by, "changed_by"), soci::use(row.created_at, "created_at"),
         soci::use(row.changed_at, "changed_at"), soci::use(row.revision, "revision"));
    if (affected_rows(statement) == 0) {
      return fail(Error(Code::kAlreadyExists, fmt::format("The resource '{}' exists already.", stored.id))
                      .with_target(stored.id));
    }
    resource = std::move(stored);
    return {};
  });
}

Status update_resource(Transaction& transaction, Resource& resource) {
  Resource stored = resource;
  stored.changed_at = now();
  return guarded(transaction, "update a resource", [&]() -> Status {
    const Row row(stored);
    soci::statement statement =
        (transaction.sql().prepare
             << "update resources set type = :type, type_key = :type_key, name = :name, parent_id = :parent_id,"
                " parent_key = :parent_key, subscription_id = :subscription_id, resource_group = :resource_group,"
                " location = :location, tags = :tags, properties = :properties, internal = :internal,"
                " provisioning_state = :state, changed_by = :changed_by, changed_at = :changed_at,"
                " revision = revision + 1 where key = :key and revision = :revision",
         soci::use(stored.type, "type"), soci::use(row.type_key, "type_key"), soci::use(stored.name, "name"),
         soci::use(stored.parent_id, "parent_id"), soci::use(row.parent_key, "parent_key"),
         soci::use(stored.subscription_id, "subscription_id"), soci::use(stored.resource_group, "resource_group"),
         soci::use(stored.location, "location"), soci::use(row.tags, "tags"), soci::use(row.properties, "properties"),
         soci::use(row.internal, "internal"), soci::use(stored.provisioning_state, "state"),
         soci::use(stored.changed_by, "changed_by"), soci::use(row.changed_at, "changed_at"), soci::use(row.key, "key"),
         soci::use(row.revision, "revision"));
    if (affected_rows(statement) == 0) {
      if (!TRY(find_resource(transaction, stored.id)).has_value()) {
        return fail(
            Error(Code::kNotFound, fmt::format("The resource '{}' does not exist.", stored.id)).with_target(stored.id));
      }
      return fail(
          Error(Code::kConflict,
                fmt::format("The resource '{}' was changed by somebody else. Read it again and retry.", stored.id))
              .with_target(stored.id));
    }
    ++stored.revision;
    resource = std::move(stored);
    return {};
  });
}

Status erase_resource(Transaction& transaction, std::string_view id) {
  if (has_nul(id)) return {};
  return guarded(transaction, "erase a resource", [&]() -> Status {
    const std::string key = to_lower(id);
    transaction.sql() << "delete from resources where key = :key", soci::use(key, "key");
    return {};
  });
}

Result<std::vector<Resource>> list_resources(Transaction& transaction, const ResourceQuery& query) {
  if (has_nul(query.scope_id) || has_nul(query.parent_id) || has_nul(query.type) || has_nul(query.after_id)) {
    return std::vector<Resource>();
  }
  return guarded(transaction, "list resources", [&]() -> Result<std::vector<Resource>> {
    // Every id begins with '/', so without a scope the range is all of them.
    const std::string low = std::max(below_low(query.scope_id), to_lower(query.after_id));
    const std::string high = below_high(query.scope_id);
    const std::string type = to_lower(query.type);
    const std::string parent = to_lower(query.parent_id);
    const std::string range = "key > :low and key < :high";
    if (!parent.empty() && !type.empty()) {
      return select(transaction, range + " and parent_key = :parent and type_key = :type",
                    {{"low", low}, {"high", high}, {"parent", parent}, {"type", type}}, query.limit);
    }
    if (!parent.empty()) {
      return select(transaction, range + " and parent_key = :parent",
                    {{"low", low}, {"high", high}, {"parent", parent}}, query.limit);
    }
    if (!type.empty()) {
      return select(transaction, range + " and type_key = :type", {{"low", low}, {"high", high}, {"type", type}},
                    query.limit);
    }
    return select(transaction, range, {{"low", low}, {"high", high}}, query.limit);
  });
}

Result<std::size_t> count_children(Transaction& transaction, std::string_view parent_id) {
  if (has_nul(parent_id)) return 0;
  return guarded(transaction, "count children", [&]() -> Result<std::size_t> {
    const std::string parent = to_lower(parent_id);
    Number count = 0;
    transaction.sql() << "select count(*) from resources where parent_key = :parent", soci::use(parent, "parent"),
        soci::into(count);
    return static_cast<std::size_t>(count);
  });
}

}  // namespace atelier::db
