// Galleries: the outermost of Azure Compute Gallery's three levels.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <utility>

#include "api/answers.h"
#include "api/envelope.h"
#include "api/fields.h"
#include "api/gallery_rows.h"
#include "api/own_routes.h"
#include "catalog/names.h"
#include "db/database.h"
#include "http/message.h"

namespace atelier::api {
namespace {

constexpr std::size_t kDescriptionBytesMax = 4096;

enum class Change { kReplace, kMerge };

struct Written {
  db::Resource gallery;
  int status = 200;
};

std::string unique_name(const db::Resource& gallery) {
  std::string capitals = gallery.name;
  std::ranges::transform(capitals, capitals.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return fmt::format("{}-{}", gallery.subscription_id, capitals);
}

// Clients PUT back whatever they got: read-only fields in `given` count for nothing.
Status apply(db::Resource& gallery, const json::object& given, Change change) {
  json::object properties = change == Change::kMerge ? gallery.properties : json::object{};
  TRY(copy_text(given, properties, "description", kDescriptionBytesMax));
  const std::string permissions =
      TRY(optional_word(given, "sharingProfile.permissions", {"Private", "Groups", "Community"}, "Private"));
  if (permissions != "Private") {
    return fail(Error(Code::kUnsupported, "Only private galleries are offered: whoever may use the service sees them.")
                    .with_target("properties.sharingProfile.permissions"));
  }
  properties["identifier"] = json::object{{"uniqueName", unique_name(gallery)}};
  gallery.properties = std::move(properties);
  return {};
}

Result<http::Response> put_gallery(Call& call) {
  TRY(check_subscription(call));
  TRY(catalog::check_gallery_name(call.param("gallery"), "galleryName"));
  const json::object body = TRY(body_object(call));
  const std::string location = TRY(location_of(call, body));
  const json::object tags = TRY(tags_of(body));
  const json::object given = TRY(properties_of(body));
  const auto write = [&](db::Transaction& transaction) -> Result<Written> {
    TRY(require_group(call, transaction));
    std::optional<db::Resource> existing = TRY(db::find_resource(transaction, gallery_id(call).text()));
    Written written;
    written.status = existing ? 200 : 201;
    written.gallery = existing ? *std::move(existing) : new_resource(call, gallery_id(call).text(), location);
    TRY(check_location(written.gallery, location));
    TRY(apply(written.gallery, given, Change::kReplace));
    written.gallery.tags = tags;
    written.gallery.changed_by = call.principal.name;
    TRY(written.status == 201 ? db::insert_resource(transaction, written.gallery)
                              : db::update_resource(transaction, written.gallery));
    return written;
  };
  const Written written = TRY(call.context.parts.database.write(write));
  return answer_resource(written.status, written.gallery);
}

Result<http::Response> patch_gallery(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const json::object given = TRY(properties_of(body));
  const auto write = [&](db::Transaction& transaction) -> Result<db::Resource> {
    db::Resource gallery = TRY(require_resource(transaction, gallery_id(call).text()));
    TRY(apply(gallery, given, Change::kMerge));
    if (find(body, "tags") != nullptr) gallery.tags = TRY(tags_of(body));
    gallery.changed_by = call.principal.name;
    TRY(db::update_resource(transaction, gallery));
    return gallery;
  };
  const db::Resource gallery = TRY(call.context.parts.database.write(write));
  return answer_resource(200, gallery);
}

Result<http::Response> get_gallery(Call& call) {
  TRY(check_subscription(call));
  const auto read = [&](db::Transaction& transaction) -> Result<db::Resource> {
    TRY(require_group(call, transaction));
    return require_resource(transaction, gallery_id(call).text());
  };
  const db::Resource gallery = TRY(call.context.parts.database.read(read));
  json::object answer = to_arm(gallery);
  set_at(answer, "properties.sharingProfile", json::object{{"permissions", "Private"}});
  return answer_json(200, answer);
}

Result<http::Response> list_galleries(Call& call) {
  TRY(check_subscription(call));
  db::ResourceQuery query;
  query.type = catalog::kGalleryType;
  query.scope_id = "/subscriptions/" + call.context.subscription_id;
  if (call.request.params.contains("rg")) {
    const db::Resource group = TRY(call.context.parts.database.read(
        [&](db::Transaction& transaction) { return require_group(call, transaction); }));
    query.scope_id = group.id;
  }
  return answer_list(call, std::move(query));
}

}  // namespace

void add_gallery_routes(ArmRoutes& routes) {
  routes.add("GET", "{subscription}/providers/Microsoft.Compute/galleries", list_galleries);
  routes.add("GET", "{group}/Microsoft.Compute/galleries", list_galleries);
  routes.add("GET", "{group}/Microsoft.Compute/galleries/{gallery}", get_gallery);
  routes.add("PUT", "{group}/Microsoft.Compute/galleries/{gallery}", put_gallery);
  routes.add("PATCH", "{group}/Microsoft.Compute/galleries/{gallery}", patch_gallery);
  routes.add("DELETE", "{group}/Microsoft.Compute/galleries/{gallery}",
             [](Call& call) { return delete_empty(call, gallery_id(call).text()); });
}

}  // namespace atelier::api
