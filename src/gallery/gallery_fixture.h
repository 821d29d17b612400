// For tests: three regions with real stores in a private folder, real SQLite, a runner with this folder's journeys,
// and disks made with qemu-img. The base images of template VMs are served by nbdkit's own "file" plugin.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/image_version.h"
#include "catalog/parts.h"
#include "db/database.h"
#include "db/resources.h"
#include "gallery/export_image.h"
#include "gallery/import_version.h"
#include "gallery/journeys.h"
#include "image/image_reader.h"
#include "image/image_record.h"
#include "image/store.h"
#include "ops/runner.h"
#include "ops/submit.h"
#include "vm/fake_hypervisor.h"
#include "vm/image_server.h"
#include "vm/overlay.h"
#include "vm/process.h"

namespace atelier::gallery {

inline constexpr std::uint64_t kMiB = 1 << 20;

class GalleryFixture : public ::testing::Test {
 protected:
  static constexpr const char* kSubscription = "7a1e5ee0-0000-4000-8000-000000000001";

  GalleryFixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gallery-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    for (const char* name : {"uploads", "served"}) std::filesystem::create_directories(folder_ / name);
    database_ = db::Database::open({.url = "sqlite:" + (folder_ / "t.db").string()}).value();
    std::vector<catalog::Region> regions{{.name = "japaneast", .display_name = "Japan East", .geography = "japan"},
                                         {.name = "japanwest", .display_name = "Japan West", .geography = "japan"},
                                         {.name = "westus2", .display_name = "West US 2", .geography = "us"}};
    for (catalog::Region& region : regions) {
      stores_.push_back(image::create_directory_store(folder_ / "stores" / region.name).value());
      region.store = stores_.back().get();
    }
    regions_ = std::make_unique<catalog::Regions>(std::move(regions));
    runner_ = std::make_unique<ops::Runner>(*database_,
                                            ops::Runner::Options{.poll = std::chrono::milliseconds(10),
                                                                 .retry_pause_first = std::chrono::milliseconds(10)});
    parts_ = std::make_unique<catalog::Parts>(catalog::Parts{*database_, *runner_, *regions_, folder_ / "uploads"});
    add_journeys(*runner_, *parts_, hypervisor_);
  }
  ~GalleryFixture() override {
    runner_->stop();
    if (server_) {
      EXPECT_TRUE(server_->stop());
    }
    runner_.reset();
    stores_.clear();
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }

  // Rows.
  db::Resource row(const catalog::ArmId& id, json::object properties = {}) {
    db::Resource resource;
    resource.id = id.text();
    resource.type = id.type();
    resource.name = id.name();
    resource.parent_id = id.parent_text();
    resource.subscription_id = id.subscription_id();
    resource.resource_group = id.resource_group();
    resource.location = "japaneast";
    resource.provisioning_state = "Succeeded";
    resource.properties = std::move(properties);
    return resource;
  }
  db::Resource insert(db::Resource resource) {
    EXPECT_TRUE(database_->write([&](db::Transaction& t) { return db::insert_resource(t, resource); }));
    return resource;
  }
  std::optional<db::Resource> find(const std::string& id) {
    return database_->read([&](db::Transaction& t) { return db::find_resource(t, id); }).value();
  }
  catalog::ArmId gallery_id() { return catalog::ArmId::of_resource(kSubscription, "rg", catalog::kGalleryType, "gal"); }
  catalog::ArmId version_id(const std::string& image, const std::string& version) {
    return gallery_id().child("images", image).child("versions", version);
  }
  void make_definition(const std::string& name) {
    if (!find(gallery_id().text())) insert(row(gallery_id()));
    insert(row(gallery_id().child("images", name),
               {{"osState", "Generalized"},
                {"osType", "Linux"},
                {"identifier", {{"publisher", "contoso"}, {"offer", "x"}, {"sku", name}}}}));
  }

  // Files. A raw disk with a master boot record, then a pattern here and there.
  std::filesystem::path make_raw(const std::string& name, std::uint64_t bytes = 8 * kMiB, char fill = 'x') {
    const std::filesystem::path path = folder_ / "uploads" / name;
    std::string sector(512, '\0');
    const unsigned char partition[16] = {0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0};
    std::copy(std::begin(partition), std::end(partition), sector.begin() + 446);
    sector[510] = '\x55';
    sector[511] = '\xaa';
    std::ofstream file(path, std::ios::binary);
    file << sector;
    file.seekp(2 * kMiB);
    file << std::string(3 * 65536 + 100, fill);
    file.close();
    std::filesystem::resize_file(path, bytes);
    return path;
  }
  db::Resource make_disk(const std::string& file) {
    db::Resource disk =
        row(catalog::ArmId::of_resource(kSubscription, "rg", catalog::kDiskType, file), {{"diskState", "Unattached"}});
    disk.internal["file"] = file;
    return insert(std::move(disk));
  }
  static void run_tool(std::vector<std::string> arguments) {
    const auto finished = vm::run({.arguments = std::move(arguments), .confinement = {}});
    ASSERT_TRUE(finished) << finished.error().message();
    ASSERT_EQ(finished->exit_code, 0) << finished->error;
  }

  // Journeys.
  Result<Accepted> begin_import(const catalog::ArmId& id, const std::string& disk_id,
                                const std::vector<std::string>& targets = {"japaneast"}) {
    json::array regions;
    for (const std::string& name : targets) regions.push_back(json::object{{"name", name}});
    db::Resource version = row(id, {{"publishingProfile", {{"targetRegions", std::move(regions)}}}});
    return database_->write([&](db::Transaction& t) {
      return import_version::begin(t, {.version = std::move(version), .disk_id = disk_id, .principal = "admin"});
    });
  }
  ops::Operation finished(const std::string& operation_id) {
    runner_->wake();
    for (int i = 0; i < 6000; ++i) {
      const auto operation =
          database_->read([&](db::Transaction& t) { return ops::find(t, operation_id); }).value().value();
      if (ops::is_finished(operation.state)) return operation;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "the operation did not end";
    return {};
  }
  // Until nothing is queued or running.
  void drain() {
    for (int i = 0; i < 6000; ++i) {
      const auto left =
          database_->read([&](db::Transaction& t) { return ops::list(t, {.unfinished_only = true}); }).value();
      if (left.empty()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "operations did not end";
  }

  // Bytes.
  image::Store& store(const std::string& region) { return *regions_->find(region)->store; }
  std::string bytes_of(const std::string& region, const std::string& root) {
    const auto reader = image::ImageReader::open(store(region), image::Digest::parse(root).value());
    if (!reader) return "no image: " + reader.error().message();
    std::string bytes((*reader)->disk_bytes(), '\0');
    EXPECT_TRUE((*reader)->read(0, std::as_writable_bytes(std::span(bytes))));
    return bytes;
  }
  static std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  catalog::ImageVersion model(const catalog::ArmId& id) { return catalog::image_version_of(find(id.text()).value()); }

  // An imported version to make template VMs from, and an overlay on it.
  std::string import_base(const std::string& image = "base") {
    make_definition(image);
    make_raw("base.disk");
    const auto accepted = begin_import(version_id(image, "1.0.0"), make_disk("base.disk").id).value();
    EXPECT_EQ(finished(accepted.operation_id).state, ops::State::kSucceeded);
    return model(version_id(image, "1.0.0")).root;
  }
  vm::OverlayDisk make_overlay(const std::string& root) {
    std::filesystem::copy_file(folder_ / "uploads" / "base.disk", folder_ / "served" / root);
    server_ = vm::ImageServer::open({.plugin = "file",
                                     .parameters = {"dir=" + (folder_ / "served").string()},
                                     .socket = folder_ / "nbd.sock",
                                     .pid_file = folder_ / "nbd.pid",
                                     .log_file = {}})
                  .value();
    vm::OverlayDisk overlay{.path = folder_ / "disk.qcow2", .backing = server_->disk(root, 8 * kMiB)};
    EXPECT_TRUE(vm::create_overlay(overlay));
    return overlay;
  }

  std::filesystem::path folder_;
  std::unique_ptr<db::Database> database_;
  std::vector<std::unique_ptr<image::Store>> stores_;
  std::unique_ptr<catalog::Regions> regions_;
  vm::FakeHypervisor hypervisor_{vm::FakeHypervisor::Options{}};
  std::unique_ptr<ops::Runner> runner_;
  std::unique_ptr<catalog::Parts> parts_;
  std::unique_ptr<vm::ImageServer> server_;
};

}  // namespace atelier::gallery
