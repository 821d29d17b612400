// The body of an image version: what was asked for, checked field by field.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/context.h"
#include "base/error.h"
#include "base/json.h"
#include "db/resources.h"

namespace atelier::api {

// Of a PUT or PATCH: `properties` of the body, the version's home region.
struct VersionBody {
  json::object publishing_profile;          // as stored: targetRegions with short names, home region among them
  std::vector<std::string> target_regions;  // the same, short names
  std::optional<std::string> source_disk;   // id of an uploaded disk; absent when the body names no source
  json::object storage_profile;             // as stored: the source
  json::object safety_profile;
};

// `existing` is the version there is, or nullptr: its fields stand for those that the body does not have, dates that
// are echoed back may be over. kInvalidArgument naming the field; kUnsupported for a source that is not taken.
Result<VersionBody> read_version(const Call& call, const json::object& properties, const std::string& location,
                                 const db::Resource* existing);

}  // namespace atelier::api
