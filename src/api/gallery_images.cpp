// Image definitions: what an image is (system, state, publisher, offer, sku), without bytes.
#include <fmt/format.h>

#include <array>
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
#include "gallery/definition.h"
#include "http/message.h"

namespace atelier::api {
namespace {

constexpr std::size_t kTextBytesMax = 4096;
constexpr std::string_view kPrefix = "galleryImage";

struct Written {
  db::Resource definition;
  int status = 200;
};

Status check_range(const json::object& given, const std::string& path) {
  const auto low = TRY(optional_int(given, path + ".min", 1));
  const auto high = TRY(optional_int(given, path + ".max", low > 1 ? low : 1));
  if (low < 0 || high < low) {
    return bad_field("properties." + path, fmt::format("'{}' needs 0 ≤ min ≤ max.", path));
  }
  return {};
}

// What may change after creation, into `properties`.
Status apply_changeable(const json::object& given, json::object& properties) {
  for (const char* name : {"description", "eula", "privacyStatementUri", "releaseNoteUri"}) {
    TRY(copy_text(given, properties, name, kTextBytesMax));
  }
  TRY(copy_future_date(given, properties, "endOfLifeDate"));
  TRY(copy_shape(given, properties, "recommended", Shape::kObject));
  TRY(check_range(given, "recommended.vCPUs"));
  TRY(check_range(given, "recommended.memory"));
  TRY(copy_shape(given, properties, "disallowed", Shape::kObject));
  return copy_shape(given, properties, "features", Shape::kArray);
}

Result<json::object> identifier_of(const json::object& given) {
  json::object identifier;
  struct Part {
    std::string_view name;
    std::size_t length_max;
  };
  for (const Part part : {Part{"publisher", 128}, Part{"offer", 64}, Part{"sku", 64}}) {
    const std::string path = fmt::format("identifier.{}", part.name);
    const auto text = require_string(given, path);
    if (!text) return fail(Error(text.error()).with_target("properties." + path));
    TRY(catalog::check_identifier_part(*text, part.length_max, "properties." + path));
    identifier[part.name] = *text;
  }
  return identifier;
}

// Since 2025-03-03 a definition without a generation is V2.
std::string_view default_generation(const Call& call) { return call.api_version >= "2025-03-03" ? "V2" : "V1"; }

Result<json::object> new_properties(const Call& call, const json::object& given) {
  json::object properties;
  properties["osType"] = TRY(require_word(given, "osType", {"Linux", "Windows"}));
  properties["osState"] = TRY(require_word(given, "osState", {"Generalized", "Specialized"}));
  properties["hyperVGeneration"] =
      TRY(optional_word(given, "hyperVGeneration", {"V1", "V2"}, default_generation(call)));
  properties["architecture"] = TRY(optional_word(given, "architecture", {"x64", "Arm64"}, "x64"));
  properties["identifier"] = TRY(identifier_of(given));
  TRY(copy_shape(given, properties, "purchasePlan", Shape::kObject));
  TRY(apply_changeable(given, properties));
  return properties;
}

Result<json::object> changed_properties(const db::Resource& definition, const json::object& given) {
  for (const char* path : {"osType", "osState", "hyperVGeneration", "architecture", "identifier.publisher",
                           "identifier.offer", "identifier.sku"}) {
    TRY(check_unchanged(definition.properties, given, path, kPrefix));
  }
  json::object properties = definition.properties;
  TRY(apply_changeable(given, properties));
  return properties;
}

Result<Written> write_definition(const Call& call, db::Transaction& transaction, const json::object& body) {
  TRY(require_group(call, transaction));
  const db::Resource gallery = TRY(require_parent(transaction, gallery_id(call).text()));
  const std::string location = TRY(location_or_parents(call, body, gallery));
  const json::object given = TRY(properties_of(body));
  std::optional<db::Resource> existing = TRY(db::find_resource(transaction, definition_id(call).text()));
  Written written;
  written.status = existing ? 200 : 201;
  if (existing) {
    written.definition = *std::move(existing);
    TRY(check_location(written.definition, location));
    written.definition.properties = TRY(changed_properties(written.definition, given));
  } else {
    TRY(catalog::check_definition_name(call.param("image"), "galleryImageName"));
    const catalog::ArmId parent = TRY(catalog::ArmId::parse(gallery.id));
    written.definition = new_resource(call, parent.child("images", call.param("image")).text(), location);
    written.definition.properties = TRY(new_properties(call, given));
    TRY(gallery::definition::check_identifier_is_free(transaction, written.definition));
  }
  written.definition.tags = TRY(tags_of(body));
  written.definition.changed_by = call.principal.name;
  TRY(written.status == 201 ? db::insert_resource(transaction, written.definition)
                            : db::update_resource(transaction, written.definition));
  return written;
}

Result<http::Response> put_definition(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const Written written = TRY(call.context.parts.database.write(
      [&](db::Transaction& transaction) { return write_definition(call, transaction, body); }));
  return answer_resource(written.status, written.definition);
}

Result<http::Response> patch_definition(Call& call) {
  TRY(check_subscription(call));
  const json::object body = TRY(body_object(call));
  const json::object given = TRY(properties_of(body));
  const auto write = [&](db::Transaction& transaction) -> Result<db::Resource> {
    db::Resource definition = TRY(require_resource(transaction, definition_id(call).text()));
    definition.properties = TRY(changed_properties(definition, given));
    if (find(body, "tags") != nullptr) definition.tags = TRY(tags_of(body));
    definition.changed_by = call.principal.name;
    TRY(db::update_resource(transaction, definition));
    return definition;
  };
  const db::Resource definition = TRY(call.context.parts.database.write(write));
  return answer_resource(200, definition);
}

Result<http::Response> get_definition(Call& call) {
  TRY(check_subscription(call));
  const auto read = [&](db::Transaction& transaction) -> Result<db::Resource> {
    TRY(require_group(call, transaction));
    TRY(require_parent(transaction, gallery_id(call).text()));
    return require_resource(transaction, definition_id(call).text());
  };
  const db::Resource definition = TRY(call.context.parts.database.read(read));
  return answer_resource(200, definition);
}

Result<http::Response> list_definitions(Call& call) {
  TRY(check_subscription(call));
  const db::Resource gallery = TRY(call.context.parts.database.read(
      [&](db::Transaction& transaction) { return require_parent(transaction, gallery_id(call).text()); }));
  db::ResourceQuery query;
  query.type = catalog::kDefinitionType;
  query.parent_id = gallery.id;
  return answer_list(call, std::move(query));
}

}  // namespace

void add_gallery_image_routes(ArmRoutes& routes) {
  const std::string images = "{group}/Microsoft.Compute/galleries/{gallery}/images";
  routes.add("GET", images, list_definitions);
  routes.add("GET", images + "/{image}", get_definition);
  routes.add("PUT", images + "/{image}", put_definition);
  routes.add("PATCH", images + "/{image}", patch_definition);
  routes.add("DELETE", images + "/{image}", [](Call& call) { return delete_empty(call, definition_id(call).text()); });
}

}  // namespace atelier::api
