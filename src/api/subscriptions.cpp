// The one subscription and tenant, regions, providers, and the list of everything in a subscription or a group.
#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "api/answers.h"
#include "api/api_versions.h"
#include "api/envelope.h"
#include "api/odata_filter.h"
#include "api/own_routes.h"
#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/regions.h"
#include "db/database.h"
#include "http/message.h"

namespace atelier::api {
namespace {

json::object subscription_of(const Context& context) {
  return {
      {"id", "/subscriptions/" + context.subscription_id},
      {"subscriptionId", context.subscription_id},
      {"tenantId", context.tenant_id},
      {"displayName", context.subscription_name},
      {"state", "Enabled"},
      {"subscriptionPolicies",
       {{"locationPlacementId", "Public_2014-09-01"}, {"quotaId", "PayAsYouGo_2014-09-01"}, {"spendingLimit", "Off"}}},
      {"authorizationSource", "RoleBased"},
      {"managedByTenants", json::array{}}};
}

http::Response answer_values(json::array values) {
  return answer_json(200, json::object{{"value", std::move(values)}});
}

Result<http::Response> get_tenants(Call& call) {
  const Context& context = call.context;
  return answer_values({json::object{{"id", "/tenants/" + context.tenant_id},
                                     {"tenantId", context.tenant_id},
                                     {"displayName", context.subscription_name},
                                     {"defaultDomain", ""},
                                     {"tenantType", "AAD"},
                                     {"tenantCategory", "Home"}}});
}

Result<http::Response> get_locations(Call& call) {
  TRY(check_subscription(call));
  json::array values;
  for (const catalog::Region& region : call.context.parts.regions.all()) {
    values.push_back(
        json::object{{"id", fmt::format("/subscriptions/{}/locations/{}", call.context.subscription_id, region.name)},
                     {"name", region.name},
                     {"type", "Region"},
                     {"displayName", region.display_name},
                     {"regionalDisplayName", fmt::format("({}) {}", region.geography, region.display_name)},
                     {"metadata",
                      {{"regionType", "Physical"},
                       {"regionCategory", "Recommended"},
                       {"geography", region.geography},
                       {"geographyGroup", region.geography},
                       {"pairedRegion", json::array{}}}}});
  }
  return answer_values(std::move(values));
}

struct ProviderFacts {
  std::string_view name;
  std::vector<std::string_view> types;
};

const std::array<ProviderFacts, 3>& providers() {
  static const std::array<ProviderFacts, 3> facts = {
      ProviderFacts{"Microsoft.Compute",
                    {"disks", "galleries", "galleries/images", "galleries/images/versions", "locations",
                     "locations/capsOperations"}},
      ProviderFacts{"Microsoft.LabServices",
                    {"labPlans", "labPlans/images", "labs", "labs/virtualMachines", "locations",
                     "locations/operationResults", "operationResults", "skus"}},
      ProviderFacts{"Microsoft.Resources", {"resourceGroups", "subscriptions", "tenants", "resources"}}};
  return facts;
}

json::object provider_of(const Context& context, const ProviderFacts& facts) {
  json::array versions;
  for (const std::string_view version : api_versions_of(facts.name)) versions.emplace_back(version);
  json::array locations;
  for (const catalog::Region& region : context.parts.regions.all()) locations.emplace_back(region.display_name);
  json::array types;
  for (const std::string_view type : facts.types) {
    types.push_back(json::object{{"resourceType", type},
                                 {"locations", locations},
                                 {"apiVersions", versions},
                                 {"defaultApiVersion", versions.front()},
                                 {"capabilities", "SupportsTags, SupportsLocation"}});
  }
  return {{"id", fmt::format("/subscriptions/{}/providers/{}", context.subscription_id, facts.name)},
          {"namespace", facts.name},
          {"registrationState", "Registered"},
          {"registrationPolicy", "RegistrationFree"},
          {"resourceTypes", std::move(types)}};
}

Result<http::Response> get_provider(Call& call) {
  TRY(check_subscription(call));
  for (const ProviderFacts& facts : providers()) {
    if (equals_ignoring_case(facts.name, call.param("ns"))) return answer_json(200, provider_of(call.context, facts));
  }
  return fail(Error(Code::kNotFound, fmt::format("The resource provider '{}' is not one of this service: it has "
                                                 "Microsoft.Compute, Microsoft.LabServices and Microsoft.Resources.",
                                                 call.param("ns").substr(0, 100)))
                  .with_reason("InvalidResourceNamespace"));
}

Result<http::Response> list_providers(Call& call) {
  TRY(check_subscription(call));
  json::array values;
  for (const ProviderFacts& facts : providers()) values.push_back(provider_of(call.context, facts));
  return answer_values(std::move(values));
}

// Generic resources: those that can be tracked, i.e. have a location. az filters by group, type or name.
Result<http::Response> list_resources(Call& call) {
  TRY(check_subscription(call));
  const std::string filter = call.request.query_value("$filter").value_or("");
  const std::string type = TRY(filter_value(filter, "resourceType"));
  const std::string name = TRY(filter_value(filter, "name"));
  std::string group = TRY(filter_value(filter, "resourceGroup"));
  if (call.request.params.contains("rg")) {
    group = call.param("rg");
    TRY(call.context.parts.database.read(
        [&](db::Transaction& transaction) { return require_group(call, transaction); }));
  }
  db::ResourceQuery query;
  query.type = type;
  query.scope_id = group.empty() ? "/subscriptions/" + call.context.subscription_id
                                 : catalog::ArmId::of_group(call.context.subscription_id, group).text();
  const auto to_item = [&](db::Transaction&, const db::Resource& resource) -> Result<std::optional<json::object>> {
    const bool listed = !resource.location.empty() && resource.type != catalog::kResourceGroupType &&
                        resource.type != catalog::kVirtualMachineType &&
                        (name.empty() || equals_ignoring_case(name, resource.name));
    if (!listed) return std::nullopt;
    json::object item = to_arm(resource);
    item.erase("properties");
    item["createdTime"] = to_rfc3339(resource.created_at);
    item["changedTime"] = to_rfc3339(resource.changed_at);
    item["provisioningState"] = resource.provisioning_state;
    return item;
  };
  return answer_list(call, std::move(query), to_item);
}

}  // namespace

void add_subscription_routes(ArmRoutes& routes) {
  routes.add("GET", "/tenants", get_tenants);
  routes.add("GET", "/subscriptions",
             [](Call& call) -> Result<http::Response> { return answer_values({subscription_of(call.context)}); });
  routes.add("GET", "{subscription}", [](Call& call) -> Result<http::Response> {
    TRY(check_subscription(call));
    return answer_json(200, subscription_of(call.context));
  });
  routes.add("GET", "{subscription}/locations", get_locations);
  routes.add("GET", "{subscription}/providers", list_providers);
  routes.add("GET", "{subscription}/providers/{ns}", get_provider);
  routes.add("POST", "{subscription}/providers/{ns}/register", get_provider);
  routes.add("GET", "{subscription}/resources", list_resources);
  routes.add("GET", "{subscription}/resourceGroups/{rg}/resources", list_resources);
}

}  // namespace atelier::api
