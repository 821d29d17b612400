// The images of a lab account: read from the attached gallery, with an enabled state of the account's own. Two
// additions of ours: ?includeHidden=true also lists what no lab can be made from, each with properties.hiddenReason,
// and ?region=NAME asks for one region instead of all that the account allows.
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "api/lab_routes.h"
#include "api/odata_filter.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/regions.h"
#include "http/message.h"
#include "labs/plan_images.h"
#include "labs/plan_settings.h"

namespace atelier::api {
namespace {

struct ImageFilter {
  bool include_hidden = false;
  std::string region;         // "" means any that the plan allows
  std::string enabled_state;  // "" means both
};

Result<ImageFilter> filter_of(const Call& call) {
  ImageFilter filter;
  filter.include_hidden = equals_ignoring_case(call.request.query_value("includeHidden").value_or(""), "true");
  if (const auto region = call.request.query_value("region"); region.has_value() && !region->empty()) {
    const catalog::Region* found = TRY(call.context.parts.regions.require(*region, "region"));
    filter.region = found->name;
  }
  const std::string odata = call.request.query_value("$filter").value_or("");
  if (!odata.empty()) filter.enabled_state = TRY(filter_value(odata, "properties/enabledState"));
  return filter;
}

json::object to_answer(labs::PlanImage image, const ImageFilter& filter) {
  if (filter.include_hidden && image.hidden != labs::HiddenReason::kNone) {
    image.resource.properties["hiddenReason"] = labs::to_string(image.hidden);
  }
  return to_arm(image.resource);
}

// Disabled images are always listed, since that is where they are enabled again.
bool is_listed(const labs::PlanImage& image, const ImageFilter& filter) {
  const bool usable = image.hidden == labs::HiddenReason::kNone || image.hidden == labs::HiddenReason::kDisabled;
  const bool wanted = filter.enabled_state.empty() ||
                      equals_ignoring_case(string_at(image.resource.properties, "enabledState"), filter.enabled_state);
  return wanted && (usable || filter.include_hidden);
}

Result<http::Response> list_images(Call& call) {
  TRY(check_subscription(call));
  const ImageFilter filter = TRY(filter_of(call));
  auto outcome = database_of(call).read(
      [&](db::Transaction& transaction) { return require_parent(transaction, lab_plan_id(call)); });
  const db::Resource plan = TRY(std::move(outcome));
  db::ResourceQuery query;
  query.type = catalog::kDefinitionType;
  query.parent_id = labs::attached_gallery_of(plan);
  if (query.parent_id.empty()) return answer_json(200, json::object{{"value", json::array()}});
  const labs::ImagesByDefault fallback = lab_parts(call).images_by_default;
  return answer_list(
      call, std::move(query),
      [&](db::Transaction& transaction, const db::Resource& definition) -> Result<std::optional<json::object>> {
        labs::PlanImage image = TRY(labs::describe_image(transaction, plan, definition, filter.region, fallback));
        if (!is_listed(image, filter)) return std::nullopt;
        return to_answer(std::move(image), filter);
      });
}

Result<http::Response> get_image(Call& call) {
  TRY(check_subscription(call));
  const ImageFilter filter = TRY(filter_of(call));
  auto outcome = database_of(call).read([&](db::Transaction& transaction) -> Result<json::object> {
    const db::Resource plan = TRY(require_parent(transaction, lab_plan_id(call)));
    const db::Resource definition = TRY(labs::require_image_definition(transaction, plan, call.param("image")));
    return to_answer(
        TRY(labs::describe_image(transaction, plan, definition, filter.region, lab_parts(call).images_by_default)),
        filter);
  });
  return answer_json(200, TRY(std::move(outcome)));
}

// PUT and PATCH alike: enabledState is the one thing that can be set, the rest is read-only and ignored.
Result<http::Response> change_image(Call& call) {
  TRY(check_subscription(call));
  const ImageFilter filter = TRY(filter_of(call));
  const json::object body = TRY(body_object(call));
  const json::object given = TRY(properties_of(body));
  const std::string word = TRY(optional_string(given, "enabledState"));
  if (word.empty()) {
    return fail(Error(Code::kInvalidArgument, "The field 'properties.enabledState' is required: Enabled or Disabled.")
                    .with_target("properties.enabledState"));
  }
  const labs::EnabledState state = TRY(labs::parse_enabled_state(word, "properties.enabledState"));
  auto outcome = database_of(call).write([&](db::Transaction& transaction) -> Result<json::object> {
    db::Resource plan = TRY(require_parent(transaction, lab_plan_id(call)));
    const db::Resource definition = TRY(labs::require_image_definition(transaction, plan, call.param("image")));
    labs::keep_enabled_state(plan, definition.id, state);
    TRY(db::update_resource(transaction, plan));
    return to_answer(
        TRY(labs::describe_image(transaction, plan, definition, filter.region, lab_parts(call).images_by_default)),
        filter);
  });
  return answer_json(200, TRY(std::move(outcome)));
}

}  // namespace

void add_lab_plan_image_routes(ArmRoutes& routes) {
  routes.add("GET", "{group}/Microsoft.LabServices/labPlans/{plan}/images", list_images);
  routes.add("GET", "{group}/Microsoft.LabServices/labPlans/{plan}/images/{image}", get_image);
  routes.add("PUT", "{group}/Microsoft.LabServices/labPlans/{plan}/images/{image}", change_image);
  routes.add("PATCH", "{group}/Microsoft.LabServices/labPlans/{plan}/images/{image}", change_image);
}

}  // namespace atelier::api
