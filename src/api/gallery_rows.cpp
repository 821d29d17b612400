#include "api/gallery_rows.h"

#include <fmt/format.h>

#include "api/answers.h"
#include "api/envelope.h"
#include "db/database.h"
#include "gallery/definition.h"
#include "http/message.h"

namespace atelier::api {

catalog::ArmId gallery_id(const Call& call) {
  return catalog::ArmId::of_resource(call.context.subscription_id, call.param("rg"), catalog::kGalleryType,
                                     call.param("gallery"));
}

catalog::ArmId definition_id(const Call& call) { return gallery_id(call).child("images", call.param("image")); }

catalog::ArmId version_id(const Call& call) { return definition_id(call).child("versions", call.param("version")); }

Status check_location(const db::Resource& existing, std::string_view location) {
  if (existing.location == location) return {};
  return fail(Error(Code::kConflict,
                    fmt::format("The resource '{}' already exists in location '{}'. A resource with the same name "
                                "cannot be created in location '{}'.",
                                existing.name, existing.location, location))
                  .with_reason("InvalidResourceLocation")
                  .with_target("location"));
}

Result<std::string> location_or_parents(const Call& call, const json::object& body, const db::Resource& parent) {
  if (find(body, "location") == nullptr) return parent.location;
  return location_of(call, body);
}

Result<http::Response> delete_empty(Call& call, const std::string& id) {
  TRY(check_subscription(call));
  const gallery::Erased erased = TRY(call.context.parts.database.write(
      [&](db::Transaction& transaction) { return gallery::erase_empty(transaction, id); }));
  return answer_empty(erased == gallery::Erased::kYes ? 200 : 204);
}

}  // namespace atelier::api
