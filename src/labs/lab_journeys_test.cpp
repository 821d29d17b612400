// The journeys, run by a real runner on a real database with real overlay files.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "labs/create_lab.h"
#include "labs/delete_lab.h"
#include "labs/labs_fixture.h"
#include "labs/machine.h"
#include "labs/save_image.h"
#include "labs/start_vm.h"
#include "labs/stop_vm.h"
#include "labs/vm_record.h"
#include "labs/vm_view.h"

namespace atelier::labs {
namespace {

constexpr std::string_view kPassword = "Kyoshitsu-2026";

class LabJourneys : public LabsFixture {
 protected:
  void SetUp() override {
    add_plan("plan");
    image_ = add_definition("course", "Generalized");
    add_version(image_, "1.0.0", {"japaneast"});
  }

  json::object wanted(const std::string& image) const {
    return {{"labPlanId", plan_id("plan")},
            {"virtualMachineProfile",
             {{"createOption", "TemplateVM"},
              {"imageReference", {{"id", image}}},
              {"sku", {{"name", "Atelier_Tiny_1_512MB"}, {"capacity", 1}}},
              {"usageQuota", "PT10H"},
              {"adminUser", {{"username", "ayumi"}, {"password", kPassword}}}}}};
  }

  Result<create_lab::Accepted> begin(const std::string& name, json::object given) {
    create_lab::Request request{.lab = {}, .given = std::move(given)};
    request.lab.id = lab_id(name);
    request.lab.type = catalog::kLabType;
    request.lab.name = name;
    request.lab.parent_id = group_id();
    request.lab.subscription_id = kSubscription;
    request.lab.resource_group = "rg";
    request.lab.location = "japaneast";
    return database_->write(
        [&](db::Transaction& transaction) { return create_lab::begin(transaction, *parts_, std::move(request)); });
  }

  ops::Operation created(const std::string& name, const std::string& image) {
    const auto accepted = begin(name, wanted(image));
    EXPECT_TRUE(accepted.has_value()) << accepted.error().message();
    return finished(accepted->operation_id);
  }

  VmRecord record(const std::string& lab) { return vm_record_of(row(vm_id_of(lab_id(lab), "0")).value()); }

  template <typename Begin>
  ops::Operation acted(Begin begin_action, const std::string& lab) {
    const auto accepted = database_->write([&](db::Transaction& transaction) {
      return begin_action(transaction, vm_id_of(lab_id(lab), "template"), "ayumi");
    });
    EXPECT_TRUE(accepted.has_value()) << accepted.error().message();
    return finished(accepted->operation_id);
  }

  std::string database_bytes() {
    std::ostringstream bytes;
    for (const char* name : {"t.db", "t.db-wal"}) bytes << std::ifstream(folder_ / name, std::ios::binary).rdbuf();
    return bytes.str();
  }

  std::string image_;
};

TEST_F(LabJourneys, ANewLabHasARunningTemplateVmOnAThinOverlay) {
  ASSERT_TRUE(runner_->start());
  EXPECT_EQ(created("lab-1", image_).state, ops::State::kSucceeded);
  const db::Resource lab = row(lab_id("lab-1")).value();
  EXPECT_EQ(lab.provisioning_state, "Succeeded");
  EXPECT_EQ(string_at(lab.properties, "state"), "Draft");
  EXPECT_EQ(string_at(lab.properties, "virtualMachineProfile.imageReference.exactVersion"), "1.0.0");
  EXPECT_EQ(string_at(lab.properties, "virtualMachineProfile.osType"), "Linux");
  const VmRecord made = record("lab-1");
  EXPECT_EQ(hypervisor_.status(made.uuid).value().power, vm::PowerState::kRunning);
  EXPECT_TRUE(std::filesystem::exists(folder_of(made, *parts_) / "seed.iso"));
  struct stat disk = {};
  ASSERT_EQ(::stat((folder_of(made, *parts_) / "disk.qcow2").c_str(), &disk), 0);
  EXPECT_LT(disk.st_blocks * 512, 1 << 20) << "the disk of " << kDiskBytes << " bytes was not made thin";
}

TEST_F(LabJourneys, ThePasswordIsKeptNowhereAndItsHashOnlyUntilTheSeedIsMade) {
  const auto accepted = begin("lab-1", wanted(image_));
  ASSERT_TRUE(accepted.has_value());
  const std::string machine = vm_id_of(lab_id("lab-1"), "0");
  EXPECT_TRUE(string_at(row(machine)->internal, "passwordHash").starts_with("$6$"));
  ASSERT_TRUE(runner_->start());
  EXPECT_EQ(finished(accepted->operation_id).state, ops::State::kSucceeded);
  EXPECT_FALSE(row(machine)->internal.contains("passwordHash"));
  EXPECT_EQ(database_bytes().find(kPassword), std::string::npos);
}

TEST_F(LabJourneys, ASpecializedImageGetsNoSeedAndNeedsNoPassword) {
  ASSERT_TRUE(runner_->start());
  const std::string image = add_definition("prepared", "Specialized");
  add_version(image, "1.0.0", {"japaneast"});
  json::object given = wanted(image);
  given["virtualMachineProfile"].as_object()["adminUser"] = json::object{{"username", "Ayumi"}};
  const auto accepted = begin("lab-1", given);
  ASSERT_TRUE(accepted.has_value()) << accepted.error().message();
  EXPECT_EQ(finished(accepted->operation_id).state, ops::State::kSucceeded);
  EXPECT_FALSE(std::filesystem::exists(folder_of(record("lab-1"), *parts_) / "seed.iso"));
  EXPECT_EQ(record("lab-1").user_name, "Ayumi");
}

TEST_F(LabJourneys, AGeneralizedImageNeedsCredentialsAndNothingIsWrittenWithoutThem) {
  for (const json::object& user : {json::object{{"username", "ayumi"}}, json::object{{"password", kPassword}},
                                   json::object{{"username", "root"}, {"password", kPassword}},
                                   json::object{{"username", "ayumi"}, {"password", "short"}}}) {
    json::object given = wanted(image_);
    given["virtualMachineProfile"].as_object()["adminUser"] = user;
    EXPECT_EQ(begin("lab-1", given).error().code(), Code::kInvalidArgument) << to_text(user);
  }
  EXPECT_FALSE(row(lab_id("lab-1")).has_value());
}

TEST_F(LabJourneys, ALabNeedsALabAccountAndARegionThatItAllows) {
  json::object given = wanted(image_);
  given.erase("labPlanId");
  EXPECT_EQ(begin("lab-1", given).error().target(), "properties.labPlanId");
  given["labPlanId"] = plan_id("unknown");
  EXPECT_EQ(begin("lab-1", given).error().code(), Code::kNotFound);
  add_plan("us-only", {"westus2"});
  given["labPlanId"] = plan_id("us-only");
  const auto refused = begin("lab-1", given);
  EXPECT_EQ(refused.error().target(), "location");
  EXPECT_NE(refused.error().message().find("westus2"), std::string::npos);
}

TEST_F(LabJourneys, RunAgainAfterAKillCreateLabEndsTheSame) {
  const auto accepted = begin("lab-1", wanted(image_));
  ASSERT_TRUE(accepted.has_value());
  const auto operation =
      database_->read([&](db::Transaction& transaction) { return ops::find(transaction, accepted->operation_id); });
  TaskContext task;
  ASSERT_TRUE(create_lab::run(**operation, *parts_, task));
  const VmRecord first = record("lab-1");
  ASSERT_TRUE(create_lab::run(**operation, *parts_, task)) << "after its commit";
  ASSERT_TRUE(runner_->start());
  EXPECT_EQ(finished(accepted->operation_id).state, ops::State::kSucceeded);
  EXPECT_EQ(record("lab-1").uuid, first.uuid);
  EXPECT_EQ(hypervisor_.list().value().size(), 1U);
}

TEST_F(LabJourneys, AFailedLabLeavesNothingBehindAndCanBeAskedForAgain) {
  ASSERT_TRUE(runner_->start());
  std::filesystem::remove_all(parts_->vms);
  std::ofstream(parts_->vms) << "a file where the folder of VMs should be";
  EXPECT_EQ(created("lab-1", image_).state, ops::State::kFailed);
  EXPECT_EQ(row(lab_id("lab-1"))->provisioning_state, "Failed");
  EXPECT_TRUE(hypervisor_.list().value().empty());
  std::filesystem::remove(parts_->vms);
  std::filesystem::create_directories(parts_->vms);
  EXPECT_EQ(created("lab-1", image_).state, ops::State::kSucceeded);
  EXPECT_EQ(row(lab_id("lab-1"))->provisioning_state, "Succeeded");
  EXPECT_EQ(begin("lab-1", wanted(image_)).error().code(), Code::kConflict);
}

TEST_F(LabJourneys, StopAndStartFollowTheHypervisor) {
  ASSERT_TRUE(runner_->start());
  created("lab-1", image_);
  const VmRecord made = record("lab-1");
  EXPECT_EQ(acted(stop_vm::begin, "lab-1").state, ops::State::kSucceeded);
  EXPECT_EQ(hypervisor_.status(made.uuid).value().power, vm::PowerState::kStopped);
  EXPECT_EQ(acted(stop_vm::begin, "lab-1").state, ops::State::kSucceeded) << "stopping what is stopped";
  EXPECT_EQ(acted(start_vm::begin, "lab-1").state, ops::State::kSucceeded);
  EXPECT_EQ(hypervisor_.status(made.uuid).value().power, vm::PowerState::kRunning);
}

TEST_F(LabJourneys, AMachineThatTheHypervisorForgotComesBackAtTheStartOfTheService) {
  ASSERT_TRUE(runner_->start());
  created("lab-1", image_);
  const VmRecord made = record("lab-1");
  ASSERT_TRUE(hypervisor_.remove(made.uuid));
  ASSERT_TRUE(resume(*parts_));
  EXPECT_EQ(hypervisor_.status(made.uuid).value().power, vm::PowerState::kStopped);
  ASSERT_TRUE(hypervisor_.remove(made.uuid));
  EXPECT_EQ(acted(start_vm::begin, "lab-1").state, ops::State::kSucceeded);
}

TEST_F(LabJourneys, OperationsOnOneMachineExcludeEachOther) {
  const auto accepted = begin("lab-1", wanted(image_));
  ASSERT_TRUE(accepted.has_value());
  const auto refused = database_->write(
      [&](db::Transaction& transaction) { return delete_lab::begin(transaction, lab_id("lab-1"), "ayumi"); });
  EXPECT_EQ(refused.error().code(), Code::kConflict);
  EXPECT_NE(refused.error().message().find(accepted->operation_id), std::string::npos);
  EXPECT_EQ(row(lab_id("lab-1"))->provisioning_state, "Creating") << "the refusal was written";
  const auto not_ready = database_->write([&](db::Transaction& transaction) {
    return start_vm::begin(transaction, vm_id_of(lab_id("lab-1"), "0"), "ayumi");
  });
  EXPECT_EQ(not_ready.error().reason(), "LabNotReady");
}

TEST_F(LabJourneys, DeletingALabRemovesMachineDiskAndRows) {
  ASSERT_TRUE(runner_->start());
  created("lab-1", image_);
  const VmRecord made = record("lab-1");
  const auto accepted = database_->write(
      [&](db::Transaction& transaction) { return delete_lab::begin(transaction, lab_id("LAB-1"), "ayumi"); });
  ASSERT_TRUE(accepted.has_value() && accepted->has_value());
  EXPECT_EQ(finished((*accepted)->operation_id).state, ops::State::kSucceeded);
  EXPECT_FALSE(row(lab_id("lab-1")).has_value());
  EXPECT_FALSE(row(vm_id_of(lab_id("lab-1"), "0")).has_value());
  EXPECT_FALSE(std::filesystem::exists(folder_of(made, *parts_)));
  EXPECT_TRUE(hypervisor_.list().value().empty());
  TaskContext task;
  EXPECT_TRUE(delete_lab::erase(lab_id("lab-1"), *parts_, task)) << "again";
  const auto absent = database_->write(
      [&](db::Transaction& transaction) { return delete_lab::begin(transaction, lab_id("lab-1"), "ayumi"); });
  EXPECT_FALSE(absent.value().has_value());
}

TEST_F(LabJourneys, AnExportKnowsItsDiskAndIsRefusedForEachReason) {
  ASSERT_TRUE(runner_->start());
  created("lab-1", image_);
  const auto check = [&](const std::string& plan, const std::string& name, const std::string& machine,
                         vm::PowerState power) {
    return database_->read([&](db::Transaction& transaction) {
      return save_image::check(transaction, *parts_, {.plan_id = plan, .image_name = name, .vm_id = machine}, power);
    });
  };
  const std::string machine = lab_id("LAB-1") + "/virtualmachines/Template";
  const auto facts = check(plan_id("plan"), "prepared", machine, vm::PowerState::kStopped);
  ASSERT_TRUE(facts.has_value()) << facts.error().message();
  EXPECT_EQ(facts->machine.id, vm_id_of(lab_id("lab-1"), "0"));
  EXPECT_EQ(facts->disk.path, folder_of(record("lab-1"), *parts_) / "disk.qcow2");
  EXPECT_EQ(facts->disk.backing.disk_bytes, kDiskBytes);
  EXPECT_EQ(facts->gallery.id, gallery_);

  constexpr auto kStopped = vm::PowerState::kStopped;
  EXPECT_TRUE(check(plan_id("plan"), "prepared", machine, vm::PowerState::kRunning));
  EXPECT_TRUE(check(plan_id("plan"), "prepared", machine, vm::PowerState::kCrashed));
  for (const auto between : {vm::PowerState::kShuttingDown, vm::PowerState::kPaused}) {
    EXPECT_EQ(check(plan_id("plan"), "prepared", machine, between).error().reason(), "VirtualMachineNotReady");
  }
  EXPECT_EQ(check(plan_id("unknown"), "prepared", machine, kStopped).error().code(), Code::kNotFound);
  EXPECT_EQ(check(plan_id("plan"), "has space", machine, kStopped).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(check(plan_id("plan"), "", machine, kStopped).error().target(), "name");
  EXPECT_EQ(check(plan_id("plan"), "prepared", "", kStopped).error().target(), "labVirtualMachineId");
  EXPECT_EQ(check(plan_id("plan"), "prepared", lab_id("lab-1"), kStopped).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(check(plan_id("plan"), "prepared", lab_id("other") + "/virtualMachines/0", kStopped).error().code(),
            Code::kNotFound);
  EXPECT_EQ(check(plan_id("plan"), "prepared", lab_id("lab-1") + "/virtualMachines/7", kStopped).error().code(),
            Code::kNotFound);
  add_plan("other");
  EXPECT_EQ(check(plan_id("other"), "prepared", machine, kStopped).error().reason(), "LabOfOtherLabPlan");
  add_row(plan_id("bare"), catalog::kLabPlanType, "bare", group_id(), {});
  EXPECT_EQ(check(plan_id("bare"), "prepared", machine, kStopped).error().reason(), "GalleryNotAttached");
}

TEST(VmView, TheStateIsTheHypervisorsWordAndTheWayToTheNextOne) {
  EXPECT_EQ(state_word(vm::PowerState::kStopped, ""), "Stopped");
  EXPECT_EQ(state_word(vm::PowerState::kStopped, "StartVirtualMachine"), "Starting");
  EXPECT_EQ(state_word(vm::PowerState::kStopped, "CreateLab"), "Starting");
  EXPECT_EQ(state_word(vm::PowerState::kStopped, "ExportImage"), "Stopped");
  EXPECT_EQ(state_word(vm::PowerState::kRunning, "StopVirtualMachine"), "Stopping");
  EXPECT_EQ(state_word(vm::PowerState::kPaused, ""), "Running");
  EXPECT_EQ(state_word(vm::PowerState::kCrashed, ""), "Stopped");
}

}  // namespace
}  // namespace atelier::labs
