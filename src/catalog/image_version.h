// What an image version is beyond its ARM properties: which root its bytes have, and in which regions they are. Kept in
// the resource's `internal` object, so that galleries write it and labs read it through the same few functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "db/resources.h"

namespace atelier::catalog {

enum class ReplicaState { kUnknown, kReplicating, kCompleted, kFailed };
std::string_view to_string(ReplicaState state);  // Azure's words: "Unknown", "Replicating", "Completed", "Failed"

struct Replica {
  ReplicaState state = ReplicaState::kUnknown;
  int progress = 0;              // percent
  std::uint64_t bytes_sent = 0;  // stored bytes that travelled to this region
  std::string details;           // why it failed; "" otherwise
  std::string operation_id;      // the operation that makes it; its row knows the progress meanwhile
};

struct ImageVersion {
  std::string root;                         // 64 hexadecimal digits; "" until the home region has the bytes
  std::uint64_t disk_bytes = 0;             // virtual size of the disk
  std::map<std::string, Replica> replicas;  // by region name
};

ImageVersion image_version_of(const db::Resource& version);
void keep_image_version(db::Resource& version, const ImageVersion& model);  // into version.internal

// Whether new VMs in `region` may start from this version: it is Succeeded and its bytes are all there.
bool is_usable_in(const db::Resource& version, std::string_view region);

// All versions of a definition, greatest number first.
Result<std::vector<db::Resource>> versions_of(db::Transaction& transaction, std::string_view definition_id);

// The newest usable version of the definition in the region, without those excluded from latest (there or everywhere).
// Fails with kNotFound, reason "GalleryImageNotFound", when there is none.
Result<db::Resource> newest_usable_version(db::Transaction& transaction, std::string_view definition_id,
                                           std::string_view region);

// What an imageReference means: a definition's id stands for its newest usable version, a version's id for itself if it
// is usable in the region. kInvalidArgument for another kind of id, kNotFound (reason "GalleryImageNotFound")
// otherwise. `target` names the field in errors.
Result<db::Resource> resolve_image(db::Transaction& transaction, std::string_view image_id, std::string_view region,
                                   std::string_view target = {});

// "Generalized" or "Specialized", and "Linux" or "Windows", of a definition.
std::string os_state_of(const db::Resource& definition);
std::string os_type_of(const db::Resource& definition);

}  // namespace atelier::catalog
