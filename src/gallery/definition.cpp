#include "gallery/definition.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "catalog/arm_id.h"

namespace atelier::gallery {
namespace definition {

Status check_identifier_is_free(db::Transaction& transaction, const db::Resource& definition) {
  const auto identifier_of = [](const db::Resource& resource) {
    return to_lower(fmt::format("{}/{}/{}", string_at(resource.properties, "identifier.publisher"),
                                string_at(resource.properties, "identifier.offer"),
                                string_at(resource.properties, "identifier.sku")));
  };
  const std::string wanted = identifier_of(definition);
  db::ResourceQuery query;
  query.type = catalog::kDefinitionType;
  query.parent_id = definition.parent_id;
  for (;;) {
    const std::vector<db::Resource> page = TRY(db::list_resources(transaction, query));
    for (const db::Resource& other : page) {
      if (equals_ignoring_case(other.id, definition.id) || identifier_of(other) != wanted) continue;
      return fail(Error(Code::kConflict,
                        fmt::format("The image '{}' of this gallery has the same publisher, offer and sku already. "
                                    "Together they must be unique within a gallery.",
                                    other.name))
                      .with_reason("Conflict")
                      .with_target("properties.identifier"));
    }
    if (page.size() < query.limit) return {};
    query.after_id = page.back().id;
  }
}

}  // namespace definition

Result<Erased> erase_empty(db::Transaction& transaction, std::string_view id) {
  const std::optional<db::Resource> resource = TRY(db::find_resource(transaction, id));
  if (!resource) return Erased::kWasAbsent;
  if (TRY(db::count_children(transaction, resource->id)) > 0) {
    return fail(Error(Code::kConflict,
                      fmt::format("Can not delete resource '{}' before nested resources are deleted.", resource->name))
                    .with_reason("CannotDeleteResource"));
  }
  TRY(db::erase_resource(transaction, resource->id));
  return Erased::kYes;
}

}  // namespace atelier::gallery
