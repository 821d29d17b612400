#include "gallery/stored_images.h"

#include <functional>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "catalog/arm_id.h"
#include "catalog/image_version.h"
#include "db/database.h"
#include "db/resources.h"
#include "image/image_record.h"

namespace atelier::gallery {
namespace {

// Whether a resource of the type answers yes.
Result<bool> any_of(db::Transaction& transaction, std::string_view type,
                    const std::function<bool(const db::Resource&)>& matches) {
  db::ResourceQuery query;
  query.type = type;
  for (;;) {
    const std::vector<db::Resource> page = TRY(db::list_resources(transaction, query));
    for (const db::Resource& resource : page) {
      if (matches(resource)) return true;
    }
    if (page.size() < query.limit) return false;
    query.after_id = page.back().id;
  }
}

Result<bool> is_needed(db::Transaction& transaction, const StoredImage& image) {
  const bool by_version = TRY(any_of(transaction, catalog::kVersionType, [&](const db::Resource& version) {
    if (equals_ignoring_case(version.id, image.version_id)) return false;
    const catalog::ImageVersion model = catalog::image_version_of(version);
    return model.root == image.root && model.replicas.contains(image.region);
  }));
  if (by_version) return true;
  // labs::VmRecord keeps these two names.
  return any_of(transaction, catalog::kVirtualMachineType, [&](const db::Resource& machine) {
    return string_at(machine.internal, "root") == image.root &&
           string_at(machine.internal, "region", image.region) == image.region;
  });
}

}  // namespace

Result<Removed> remove_unless_needed(const catalog::Parts& parts, const StoredImage& image) {
  const catalog::Region* region = parts.regions.find(image.region);
  if (image.root.empty() || region == nullptr || region->store == nullptr) return Removed::kNo;
  const image::Digest root = TRY(image::Digest::parse(image.root));
  // The removal is one small file operation, and belongs into the transaction that found nobody in need: writes exclude
  // each other, so no import of equal bytes can finish between the two.
  return parts.database.write([&](db::Transaction& transaction) -> Result<Removed> {
    if (TRY(is_needed(transaction, image))) return Removed::kNo;
    TRY(image::remove_image(*region->store, root));
    return Removed::kYes;
  });
}

}  // namespace atelier::gallery
