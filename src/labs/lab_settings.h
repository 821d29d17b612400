// What a lab may say about itself: checking, defaults, and what may change later. Pure rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "db/resources.h"
#include "labs/vm_sizes.h"

namespace atelier::labs {

// What a lab is made from: a gallery definition's or version's id, or publisher, offer, sku and version.
struct ImageReference {
  std::string id;
  std::string publisher;
  std::string offer;
  std::string sku;
  std::string version;  // "latest" unless given
};

struct NewLab {
  json::object properties;  // as stored and answered: checked, defaults filled in, state Draft, no password
  ImageReference image;
  const VmSize* size = nullptr;
  std::string user_name;  // may be "" for a specialized image; rules that depend on the image are the caller's
  std::string password;   // in clear: hash it and let it go
};

// `given` is the body's properties; labPlanId and the image's plan are looked up by the caller. Fails with
// kInvalidArgument naming the field; kUnsupported for labs without a template VM.
Result<NewLab> read_new_lab(const json::object& given, std::string_view lab_name, const json::object& plan_properties);

// PUT replaces what may change, PATCH leaves alone what is not named.
enum class Change { kReplace, kMerge };
// The lab's properties after the change: title, description, profiles, quota and capacity. kConflict, reason
// "PropertyChangeNotAllowed", when a field that is fixed at creation is given another value; a password is ignored.
Result<json::object> change_lab(const db::Resource& lab, const json::object& given, Change change);

// The lab plan's ARM id that the lab belongs to.
std::string plan_id_of(const db::Resource& lab);

}  // namespace atelier::labs
