// Azure Resource Manager ids: "/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/galleries/g/images/i".
// Any case comes in; text() gives the words between the names in Azure's own casing and the names as written. Two ids
// name the same resource when they are equal ignoring case (db compares them so).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace atelier::catalog {

inline constexpr std::string_view kGalleryType = "Microsoft.Compute/galleries";
inline constexpr std::string_view kDefinitionType = "Microsoft.Compute/galleries/images";
inline constexpr std::string_view kVersionType = "Microsoft.Compute/galleries/images/versions";
inline constexpr std::string_view kDiskType = "Microsoft.Compute/disks";
inline constexpr std::string_view kLabPlanType = "Microsoft.LabServices/labPlans";
inline constexpr std::string_view kLabPlanImageType = "Microsoft.LabServices/labPlans/images";
inline constexpr std::string_view kLabType = "Microsoft.LabServices/labs";
inline constexpr std::string_view kVirtualMachineType = "Microsoft.LabServices/labs/virtualMachines";
inline constexpr std::string_view kResourceGroupType = "Microsoft.Resources/resourceGroups";

// The id of a subscription, a resource group, or of a resource in a resource group.
class ArmId {
 public:
  // Fails with kInvalidArgument, reason "LinkedInvalidPropertyId", unless `text` is a well-formed id of one of the
  // three.
  static Result<ArmId> parse(std::string_view text);
  // The same, and it must be of `type` (any case), e.g. kVersionType. `target` names the field in the error.
  static Result<ArmId> parse_as(std::string_view text, std::string_view type, std::string_view target = {});

  static ArmId of_group(std::string subscription_id, std::string resource_group);
  // A top-level resource; `type` such as kGalleryType.
  static ArmId of_resource(std::string subscription_id, std::string resource_group, std::string_view type,
                           std::string name);
  // The resource below this one: child("images", "ubuntu").
  ArmId child(std::string_view type_word, std::string name) const;

  const std::string& subscription_id() const { return subscription_id_; }
  const std::string& resource_group() const { return resource_group_; }  // "" for a subscription
  const std::vector<std::string>& names() const { return names_; }       // outermost first; empty for a group
  // Of the resource itself: its last segment; the group's name for a group, the subscription's id for a subscription.
  const std::string& name() const;
  // "Microsoft.Compute/galleries/images"; kResourceGroupType; "Microsoft.Resources/subscriptions".
  std::string type() const;
  // The id of the enclosing resource; of the group for a top-level resource; of the subscription for a group.
  std::string parent_text() const;
  std::string group_text() const;
  std::string text() const;

 private:
  ArmId() = default;

  std::string subscription_id_;
  std::string resource_group_;
  std::string provider_;                 // "Microsoft.Compute", "" for a group or a subscription
  std::vector<std::string> type_words_;  // "galleries", "images"
  std::vector<std::string> names_;       // as many
};

// Whether `id` is `scope` or lies below it: whole segments, any case.
bool is_within(std::string_view id, std::string_view scope);

// The key under which operations on one VM exclude each other (ops::NewOperation::exclusive_key): start, stop, export.
std::string vm_exclusive_key(std::string_view vm_id);

}  // namespace atelier::catalog
