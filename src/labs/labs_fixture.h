// For tests: a small service without HTTP. Real SQLite, real nbdkit behind the image servers (its disks are empty: no
// guest runs), real overlay files, the fake hypervisor.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/image_version.h"
#include "catalog/parts.h"
#include "catalog/regions.h"
#include "db/database.h"
#include "db/resources.h"
#include "labs/journeys.h"
#include "labs/parts.h"
#include "ops/runner.h"
#include "ops/submit.h"
#include "vm/fake_hypervisor.h"
#include "vm/image_server.h"

namespace atelier::labs {

inline constexpr std::uint64_t kDiskBytes = 40ULL << 30;

class LabsFixture : public ::testing::Test {
 protected:
  static constexpr std::string_view kSubscription = "7a1e5ee0-0000-4000-8000-000000000001";

  LabsFixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "labs-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    for (const char* name : {"vms", "run", "uploads"}) std::filesystem::create_directories(folder_ / name);
    database_ = db::Database::open({.url = "sqlite:" + (folder_ / "t.db").string()}).value();
    std::vector<catalog::Region> regions{{.name = "japaneast", .display_name = "Japan East", .geography = "japan"},
                                         {.name = "japanwest", .display_name = "Japan West", .geography = "japan"},
                                         {.name = "westus2", .display_name = "West US 2", .geography = "us"}};
    for (catalog::Region& region : regions) {
      servers_.push_back(vm::ImageServer::open({.plugin = "memory",
                                                .parameters = {"size=1M"},
                                                .socket = folder_ / "run" / (region.name + ".sock"),
                                                .pid_file = folder_ / "run" / (region.name + ".pid"),
                                                .log_file = {},
                                                .watch = vm::ImageServer::Watch::kNone})
                             .value());
      region.server = servers_.back().get();
    }
    regions_ = std::make_unique<catalog::Regions>(std::move(regions));
    runner_ = std::make_unique<ops::Runner>(*database_, ops::Runner::Options{.poll = std::chrono::milliseconds(10)});
    common_ = std::make_unique<catalog::Parts>(catalog::Parts{
        .database = *database_, .runner = *runner_, .regions = *regions_, .uploads = folder_ / "uploads"});
    parts_ = std::make_unique<Parts>(Parts{.common = *common_, .hypervisor = hypervisor_, .vms = folder_ / "vms"});
    add_journeys(*runner_, *parts_);
    gallery_ = add_gallery("classgallery");
    add_row(group_id(), catalog::kResourceGroupType, "rg", subscription_scope(), {});
  }

  ~LabsFixture() override {
    runner_->stop();
    for (const auto& server : servers_) EXPECT_TRUE(server->stop().has_value());
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  static std::string subscription_scope() { return "/subscriptions/" + std::string(kSubscription); }
  static std::string group_id() { return subscription_scope() + "/resourceGroups/rg"; }
  static std::string plan_id(const std::string& name) {
    return group_id() + "/providers/Microsoft.LabServices/labPlans/" + name;
  }
  static std::string lab_id(const std::string& name) {
    return group_id() + "/providers/Microsoft.LabServices/labs/" + name;
  }

  db::Resource add_row(const std::string& id, std::string_view type, const std::string& name, const std::string& parent,
                       json::object properties, json::object internal = {}) {
    db::Resource row;
    row.id = id;
    row.type = type;
    row.name = name;
    row.parent_id = parent;
    row.subscription_id = kSubscription;
    row.resource_group = "rg";
    row.location = "japaneast";
    row.properties = std::move(properties);
    row.internal = std::move(internal);
    row.provisioning_state = "Succeeded";
    const Status added =
        database_->write([&](db::Transaction& transaction) { return db::insert_resource(transaction, row); });
    EXPECT_TRUE(added.has_value()) << added.error().message();
    return row;
  }

  std::string add_gallery(const std::string& name) {
    const std::string id = group_id() + "/providers/Microsoft.Compute/galleries/" + name;
    return add_row(id, catalog::kGalleryType, name, group_id(), {}).id;
  }

  std::string add_definition(const std::string& name, const std::string& os_state, const std::string& gallery = {}) {
    const std::string parent = gallery.empty() ? gallery_ : gallery;
    return add_row(parent + "/images/" + name, catalog::kDefinitionType, name, parent,
                   {{"osType", "Linux"},
                    {"osState", os_state},
                    {"identifier", {{"publisher", "contoso"}, {"offer", "school"}, {"sku", name}}}})
        .id;
  }

  // A finished version whose bytes are in `regions`.
  std::string add_version(const std::string& definition_id, const std::string& number,
                          std::initializer_list<std::string_view> regions) {
    db::Resource row;
    catalog::ImageVersion model{.root = std::string(62, '0') + "ab", .disk_bytes = kDiskBytes, .replicas = {}};
    for (const std::string_view region : regions) {
      catalog::Replica& replica = model.replicas[std::string(region)];
      replica.state = catalog::ReplicaState::kCompleted;
      replica.progress = 100;
    }
    catalog::keep_image_version(row, model);
    return add_row(definition_id + "/versions/" + number, catalog::kVersionType, number, definition_id, {},
                   std::move(row.internal))
        .id;
  }

  // A lab account with the gallery attached, labs allowed in `regions`.
  db::Resource add_plan(const std::string& name, json::array regions = {"japaneast", "japanwest"}) {
    return add_row(plan_id(name), catalog::kLabPlanType, name, group_id(),
                   {{"allowedRegions", std::move(regions)}, {"sharedGalleryId", gallery_}});
  }

  std::optional<db::Resource> row(const std::string& id) {
    return database_->read([&](db::Transaction& transaction) { return db::find_resource(transaction, id); }).value();
  }

  // Waits for the end of an operation; there is no time in what is asserted.
  ops::Operation finished(const std::string& operation_id) {
    runner_->wake();
    while (true) {
      const auto found =
          database_->read([&](db::Transaction& transaction) { return ops::find(transaction, operation_id); });
      if (found.has_value() && found->has_value() && ops::is_finished((*found)->state)) return **found;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  std::filesystem::path folder_;
  std::unique_ptr<db::Database> database_;
  std::vector<std::unique_ptr<vm::ImageServer>> servers_;
  std::unique_ptr<catalog::Regions> regions_;
  vm::FakeHypervisor hypervisor_{vm::FakeHypervisor::Options{}};
  std::unique_ptr<ops::Runner> runner_;
  std::unique_ptr<catalog::Parts> common_;
  std::unique_ptr<Parts> parts_;
  std::string gallery_;
};

}  // namespace atelier::labs
