#include "catalog/arm_id.h"

#include <fmt/format.h>
#include <array>

#include "base/check.h"
#include "base/text.h"

namespace atelier::catalog {
namespace {

// Long enough for every legal id, short enough that a hostile one costs nothing.
constexpr std::size_t kIdBytesMax = 2048;
constexpr std::size_t kDepthMax = 8;

constexpr std::array<std::string_view, 12> kWords = {"Microsoft.Compute",
                                                     "Microsoft.LabServices",
                                                     "galleries",
                                                     "images",
                                                     "versions",
                                                     "disks",
                                                     "snapshots",
                                                     "labPlans",
                                                     "labs",
                                                     "users",
                                                     "schedules",
                                                     "virtualMachines"};

std::string in_azure_casing(std::string_view word) {
  for (const std::string_view known : kWords) {
    if (equals_ignoring_case(known, word)) return std::string(known);
  }
  return std::string(word);
}

bool is_legal_segment(std::string_view segment) {
  if (segment.empty() || segment.size() > 260 || segment == "." || segment == "..") return false;
  for (const char c : segment) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || std::string_view("\\?#%&<>*:\"|").find(c) != std::string_view::npos)
      return false;
  }
  return true;
}

// The parts between slashes; one slash at the end is forgiven, and a missing one at the start (Azure's lab plans do
// so).
Result<std::vector<std::string>> segments_of(std::string_view text) {
  if (text.starts_with('/')) text.remove_prefix(1);
  if (text.ends_with('/')) text.remove_suffix(1);
  std::vector<std::string> segments;
  while (!text.empty()) {
    const std::size_t slash = text.find('/');
    const std::string_view segment = text.substr(0, slash);
    if (!is_legal_segment(segment)) return fail(Code::kInvalidArgument, "It has an empty or illegal segment.");
    segments.emplace_back(segment);
    if (slash == std::string_view::npos) break;
    text.remove_prefix(slash + 1);
    if (text.empty()) return fail(Code::kInvalidArgument, "It ends in an empty segment.");
  }
  return segments;
}

std::unexpected<Error> bad_id(std::string_view text, std::string_view why, std::string_view target = {}) {
  return fail(Error(Code::kInvalidArgument, fmt::format("'{}' is not a resource id. {}", text.substr(0, 200), why))
                  .with_reason("LinkedInvalidPropertyId")
                  .with_target(std::string(target)));
}

}  // namespace

Result<ArmId> ArmId::parse(std::string_view text) {
  if (text.size() > kIdBytesMax) return bad_id(text, "It is too long.");
  const auto segments = segments_of(text);
  if (!segments) return bad_id(text, segments.error().message());
  const std::vector<std::string>& s = *segments;
  if (s.size() < 2 || !equals_ignoring_case(s[0], "subscriptions")) {
    return bad_id(text, "It must begin with /subscriptions/{subscription}.");
  }
  ArmId id;
  id.subscription_id_ = s[1];
  if (s.size() == 2) return id;
  if (s.size() < 4 || !equals_ignoring_case(s[2], "resourceGroups")) {
    return bad_id(text, "After the subscription /resourceGroups/{group} is expected.");
  }
  id.resource_group_ = s[3];
  if (s.size() == 4) return id;
  if (s.size() < 8 || s.size() % 2 != 0 || !equals_ignoring_case(s[4], "providers")) {
    return bad_id(text, "After the resource group /providers/{namespace}/{type}/{name} is expected.");
  }
  if (s.size() > 6 + 2 * kDepthMax) return bad_id(text, "It is nested too deeply.");
  id.provider_ = in_azure_casing(s[5]);
  for (std::size_t i = 6; i < s.size(); i += 2) {
    id.type_words_.push_back(in_azure_casing(s[i]));
    id.names_.push_back(s[i + 1]);
  }
  return id;
}

Result<ArmId> ArmId::parse_as(std::string_view text, std::string_view type, std::string_view target) {
  auto id = parse(text);
  if (!id) return fail(Error(id.error()).with_target(std::string(target)));
  if (!equals_ignoring_case(id->type(), type)) {
    return bad_id(text, fmt::format("It names a {}; a {} is expected.", id->type(), type), target);
  }
  return id;
}

ArmId ArmId::of_group(std::string subscription_id, std::string resource_group) {
  ArmId id;
  id.subscription_id_ = std::move(subscription_id);
  id.resource_group_ = std::move(resource_group);
  return id;
}

ArmId ArmId::of_resource(std::string subscription_id, std::string resource_group, std::string_view type,
                         std::string name) {
  const std::size_t slash = type.find('/');
  CHECK(slash != std::string_view::npos);
  ArmId id = of_group(std::move(subscription_id), std::move(resource_group));
  id.provider_ = in_azure_casing(type.substr(0, slash));
  id.type_words_.push_back(in_azure_casing(type.substr(slash + 1)));
  id.names_.push_back(std::move(name));
  return id;
}

ArmId ArmId::child(std::string_view type_word, std::string name) const {
  CHECK(!names_.empty());
  ArmId id = *this;
  id.type_words_.push_back(in_azure_casing(type_word));
  id.names_.push_back(std::move(name));
  return id;
}

const std::string& ArmId::name() const {
  if (!names_.empty()) return names_.back();
  return resource_group_.empty() ? subscription_id_ : resource_group_;
}

std::string ArmId::type() const {
  if (provider_.empty()) {
    return std::string(resource_group_.empty() ? "Microsoft.Resources/subscriptions" : kResourceGroupType);
  }
  std::string type = provider_;
  for (const std::string& word : type_words_) type += '/' + word;
  return type;
}

std::string ArmId::group_text() const {
  return fmt::format("/subscriptions/{}/resourceGroups/{}", subscription_id_, resource_group_);
}

std::string ArmId::parent_text() const {
  if (names_.empty()) return "/subscriptions/" + subscription_id_;
  if (names_.size() == 1) return group_text();
  ArmId parent = *this;
  parent.type_words_.pop_back();
  parent.names_.pop_back();
  return parent.text();
}

std::string ArmId::text() const {
  if (resource_group_.empty()) return "/subscriptions/" + subscription_id_;
  std::string text = group_text();
  if (provider_.empty()) return text;
  text += "/providers/" + provider_;
  for (std::size_t i = 0; i < names_.size(); ++i) text += '/' + type_words_[i] + '/' + names_[i];
  return text;
}

bool is_within(std::string_view id, std::string_view scope) {
  if (scope.ends_with('/')) scope.remove_suffix(1);
  if (id.size() < scope.size() || !equals_ignoring_case(id.substr(0, scope.size()), scope)) return false;
  return id.size() == scope.size() || id[scope.size()] == '/';
}

std::string vm_exclusive_key(std::string_view vm_id) { return "vm:" + to_lower(vm_id); }

}  // namespace atelier::catalog
