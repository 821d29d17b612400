#include "api/envelope.h"

#include <fmt/format.h>

#include <optional>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "http/message.h"

namespace atelier::api {
namespace {

constexpr std::size_t kTagsMax = 50;
constexpr std::size_t kTagNameBytesMax = 512;
constexpr std::size_t kTagValueBytesMax = 256;

std::unexpected<Error> not_found(std::string_view reason, std::string message) {
  return fail(Error(Code::kNotFound, std::move(message)).with_reason(std::string(reason)));
}

// "galleries 'contoso'" of an id, for people.
std::string described(std::string_view id) {
  const auto parsed = catalog::ArmId::parse(id);
  return parsed ? fmt::format("{} '{}'", parsed->type(), parsed->name()) : fmt::format("'{}'", id);
}

}  // namespace

json::object to_arm(const db::Resource& resource) {
  json::object answer{{"id", resource.id}, {"name", resource.name}, {"type", resource.type}};
  if (!resource.location.empty()) {
    answer["location"] = resource.location;
    answer["tags"] = resource.tags;
  }
  json::object properties = resource.properties;
  if (!resource.provisioning_state.empty()) properties["provisioningState"] = resource.provisioning_state;
  answer["properties"] = std::move(properties);
  if (resource.created_at != TimePoint{}) {
    answer["systemData"] = json::object{{"createdBy", resource.created_by},
                                        {"createdByType", "User"},
                                        {"createdAt", to_rfc3339(resource.created_at)},
                                        {"lastModifiedBy", resource.changed_by},
                                        {"lastModifiedByType", "User"},
                                        {"lastModifiedAt", to_rfc3339(resource.changed_at)}};
  }
  return answer;
}

Result<json::object> body_object(const Call& call) {
  auto body = parse_json_object(call.request.body);
  if (body) return body;
  return fail(Error(body.error()).with_reason("InvalidRequestContent"));
}

Result<json::object> tags_of(const json::object& body) {
  const json::value* given = find(body, "tags");
  if (given == nullptr) return json::object{};
  const auto bad = [](std::string message) {
    return fail(Error(Code::kInvalidArgument, std::move(message)).with_target("tags"));
  };
  if (!given->is_object()) return bad("The field 'tags' must be an object of texts.");
  if (given->get_object().size() > kTagsMax) return bad(fmt::format("At most {} tags are allowed.", kTagsMax));
  for (const auto& [name, value] : given->get_object()) {
    if (!value.is_string()) return bad(fmt::format("The tag '{}' must be a text.", std::string_view(name)));
    if (name.size() > kTagNameBytesMax || value.get_string().size() > kTagValueBytesMax) {
      return bad(
          fmt::format("A tag's name has at most {} bytes, its value at most {}.", kTagNameBytesMax, kTagValueBytesMax));
    }
  }
  return given->get_object();
}

Result<json::object> properties_of(const json::object& body) {
  const json::value* given = find(body, "properties");
  if (given == nullptr) return json::object{};
  if (given->is_object()) return given->get_object();
  return fail(Error(Code::kInvalidArgument, "The field 'properties' must be an object.").with_target("properties"));
}

Result<std::string> location_of(const Call& call, const json::object& body) {
  const std::string given = TRY(require_string(body, "location"));
  return TRY(call.context.parts.regions.require(given, "location"))
  ->name;
}

Status check_subscription(const Call& call) {
  if (equals_ignoring_case(call.param("s"), call.context.subscription_id)) return {};
  return not_found("SubscriptionNotFound",
                   fmt::format("The subscription '{}' could not be found.", call.param("s").substr(0, 100)));
}

Result<db::Resource> require_group(const Call& call, db::Transaction& transaction) {
  const std::string id = catalog::ArmId::of_group(call.param("s"), call.param("rg")).text();
  std::optional<db::Resource> group = TRY(db::find_resource(transaction, id));
  if (!group) {
    return not_found("ResourceGroupNotFound",
                     fmt::format("The resource group '{}' could not be found. Create it first.", call.param("rg")));
  }
  const bool reads = call.request.method == "GET" || call.request.method == "HEAD";
  if (group->provisioning_state == "Deleting" && !reads) {
    return fail(Error(Code::kConflict, fmt::format("The resource group '{}' is being deleted.", group->name))
                    .with_reason("ResourceGroupBeingDeleted"));
  }
  return *std::move(group);
}

Result<db::Resource> require_resource(db::Transaction& transaction, std::string_view id) {
  std::optional<db::Resource> resource = TRY(db::find_resource(transaction, id));
  if (resource) return *std::move(resource);
  return not_found("ResourceNotFound", fmt::format("The resource {} was not found.", described(id)));
}

Result<db::Resource> require_parent(db::Transaction& transaction, std::string_view id) {
  std::optional<db::Resource> resource = TRY(db::find_resource(transaction, id));
  if (resource) return *std::move(resource);
  return not_found("ParentResourceNotFound",
                   fmt::format("The parent resource {} was not found. Create it first.", described(id)));
}

db::Resource new_resource(const Call& call, const std::string& id, std::string location) {
  const auto parsed = catalog::ArmId::parse(id);
  db::Resource resource;
  resource.id = id;
  if (parsed) {
    resource.type = parsed->type();
    resource.name = parsed->name();
    resource.parent_id = parsed->parent_text();
    resource.subscription_id = parsed->subscription_id();
    resource.resource_group = parsed->resource_group();
  }
  resource.location = std::move(location);
  resource.provisioning_state = "Succeeded";
  resource.created_by = resource.changed_by = call.principal.name;
  resource.created_at = resource.changed_at = now();
  return resource;
}

}  // namespace atelier::api
