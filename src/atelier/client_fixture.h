// For tests: a service with a resource group, a gallery, a lab account and a lab, and the program to run against it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atelier/client_test_parts.h"

namespace atelier::cli {

inline const std::string kGroup = "/subscriptions/s/resourceGroups/rg";
inline const std::string kGalleries = "/subscriptions/s/providers/Microsoft.Compute/galleries";
inline const std::string kGallery = kGroup + "/providers/Microsoft.Compute/galleries/g1";
inline const std::string kAccounts = "/subscriptions/s/providers/Microsoft.LabServices/labPlans";
inline const std::string kAccount = kGroup + "/providers/Microsoft.LabServices/labPlans/contoso";
inline const std::string kLabs = "/subscriptions/s/providers/Microsoft.LabServices/labs";
inline const std::string kLab = kGroup + "/providers/Microsoft.LabServices/labs/english";
inline const std::string kResults = "/subscriptions/s/providers/Microsoft.LabServices/operationResults";

inline json::object resource(const std::string& id, json::object properties = {}) {
  return {{"id", id},
          {"name", id.substr(id.rfind('/') + 1)},
          {"location", "japaneast"},
          {"properties", std::move(properties)}};
}

inline json::object list(json::array items) { return {{"value", std::move(items)}}; }

inline json::object error(std::string_view code, std::string_view message) {
  return {{"error", json::object{{"code", code}, {"message", message}}}};
}

class ClientCommand : public testing::Test {
 protected:
  ClientCommand() {
    service_.answer("GET /subscriptions/s/resourcegroups", list({resource(kGroup)}));
    service_.answer("GET " + kGroup, resource(kGroup));
    service_.answer("GET " + kGalleries, list({resource(kGallery, {{"provisioningState", "Succeeded"}})}));
    service_.answer("GET " + kGallery, resource(kGallery, {{"provisioningState", "Succeeded"}}));
    service_.answer("GET " + kAccounts, list({resource(kAccount)}));
    service_.answer("GET " + kAccount, resource(kAccount, {{"sharedGalleryId", kGallery}}));
    service_.answer("GET " + kLabs, list({resource(kLab)}));
    service_.answer("GET " + kLab, resource(kLab, {{"labPlanId", kAccount}}));
  }

  void sign_in() {
    const Outcome done =
        program_.run({"login", "--server", service_.url() + "/", "--ca", service_.ca_file(), "-u", "admin"},
                     {"ATELIER_PASSWORD=right"});
    ASSERT_EQ(done.code, 0) << done.err;
  }

  Outcome run(const std::vector<std::string>& arguments) { return program_.run(arguments); }

  // The last request that begins so, with its JSON body.
  json::object last_body(std::string_view prefix) const {
    const auto requests = service_.seen(prefix);
    return requests.empty() ? json::object() : parse_json_object(requests.back().body).value_or(json::object());
  }

  CannedService service_;
  ClientProgram program_{service_.folder()};
};

}  // namespace atelier::cli
