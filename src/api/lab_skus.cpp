// What can be had: virtual machine sizes, and the list of the provider's operations.
#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

#include "api/lab_routes.h"
#include "catalog/regions.h"
#include "http/message.h"
#include "labs/vm_sizes.h"

namespace atelier::api {
namespace {

json::object describe(const labs::VmSize& size, const json::array& locations) {
  return {{"resourceType", "labs"},
          {"name", size.name},
          {"tier", "Standard"},
          {"size", size.size},
          {"family", size.family},
          {"capacity", json::object{{"default", 0}, {"minimum", 0}, {"maximum", 400}, {"scaleType", "Manual"}}},
          {"capabilities",
           json::array{json::object{{"name", "vCPUs"}, {"value", fmt::format("{}", size.vcpus)}},
                       json::object{{"name", "MemoryGB"}, {"value", fmt::format("{:g}", size.memory_mib / 1024.0)}}}},
          {"locations", locations},
          {"costs", json::array()},
          {"restrictions", json::array()}};
}

Result<http::Response> list_skus(Call& call) {
  TRY(check_subscription(call));
  json::array locations;
  for (const catalog::Region& region : call.context.parts.regions.all()) locations.emplace_back(region.name);
  json::array value;
  for (const labs::VmSize& size : labs::vm_sizes()) value.emplace_back(describe(size, locations));
  return answer_json(200, json::object{{"value", std::move(value)}});
}

struct ProviderOperation {
  std::string_view resource;  // "labPlans"
  std::string_view verb;      // "read"
  std::string_view text;
};

constexpr std::array<ProviderOperation, 14> kOperations = {{
    {"labPlans", "read", "Get a lab account"},
    {"labPlans", "write", "Create or change a lab account"},
    {"labPlans", "delete", "Delete a lab account"},
    {"labPlans", "saveImage/action", "Export a template VM to the attached gallery"},
    {"labPlans/images", "read", "Get an image of a lab account"},
    {"labPlans/images", "write", "Enable or disable an image of a lab account"},
    {"labs", "read", "Get a lab"},
    {"labs", "write", "Create or change a lab"},
    {"labs", "delete", "Delete a lab"},
    {"labs/virtualMachines", "read", "Get a virtual machine of a lab"},
    {"labs/virtualMachines", "start/action", "Start a virtual machine"},
    {"labs/virtualMachines", "stop/action", "Stop a virtual machine"},
    {"operationResults", "read", "Get how far an operation is"},
    {"skus", "read", "Get the sizes of virtual machines"},
}};

Result<http::Response> list_operations(Call&) {
  json::array value;
  for (const ProviderOperation& operation : kOperations) {
    value.emplace_back(json::object{{"name", fmt::format("{}/{}/{}", kLabServices, operation.resource, operation.verb)},
                                    {"isDataAction", false},
                                    {"display", json::object{{"provider", "Lab Services"},
                                                             {"resource", operation.resource},
                                                             {"operation", operation.text},
                                                             {"description", operation.text}}}});
  }
  return answer_json(200, json::object{{"value", std::move(value)}});
}

}  // namespace

void add_lab_sku_routes(ArmRoutes& routes) {
  routes.add("GET", "{subscription}/providers/Microsoft.LabServices/skus", list_skus);
  routes.add("GET", "/providers/Microsoft.LabServices/operations", list_operations);
}

}  // namespace atelier::api
