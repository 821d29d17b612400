// The images of a lab account: the definitions of its attached gallery, each enabled or disabled for this account.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "db/database.h"
#include "db/resources.h"
#include "labs/lab_settings.h"
#include "labs/parts.h"

namespace atelier::labs {

enum class EnabledState { kDisabled, kEnabled };
std::string_view to_string(EnabledState state);                                            // "Disabled", "Enabled"
Result<EnabledState> parse_enabled_state(std::string_view word, std::string_view target);  // any case

// Kept in the plan's row by the definition's id, so that it survives a detach.
EnabledState enabled_state_of(const db::Resource& plan, std::string_view definition_id, ImagesByDefault fallback);
void keep_enabled_state(db::Resource& plan, std::string_view definition_id, EnabledState state);

// Why new labs cannot be made from an image. The words are the API's `hiddenReason`.
enum class HiddenReason { kNone, kDisabled, kNoUsableVersion, kNotInRegion };
std::string_view to_string(HiddenReason reason);  // "", "Disabled", "NoUsableVersion", "NotInRegion"

struct PlanImage {
  db::Resource resource;  // type labPlans/images, made up for the answer: it has no row of its own
  HiddenReason hidden = HiddenReason::kNone;
};

// One definition as the plan's image. `region` is where a lab would be; "" means any of the plan's allowed regions.
Result<PlanImage> describe_image(db::Transaction& transaction, const db::Resource& plan, const db::Resource& definition,
                                 std::string_view region, ImagesByDefault fallback);

// The definition that the plan's image of this name is. kNotFound, reason "ResourceNotFound".
Result<db::Resource> require_image_definition(db::Transaction& transaction, const db::Resource& plan,
                                              std::string_view image_name);

// The attached gallery's row. kFailedPrecondition, reason "GalleryNotAttached", when there is none or it was deleted.
Result<db::Resource> require_attached_gallery(db::Transaction& transaction, const db::Resource& plan);

struct ChosenImage {
  db::Resource definition;
  db::Resource version;
};

// What a new lab in `region` is made from. Fails with `reason` ImageNotInAttachedGallery (kFailedPrecondition),
// GalleryImageNotFound (kNotFound), ImageDisabled, NoUsableVersion, ImageNotInRegion (kFailedPrecondition); target is
// the image reference.
Result<ChosenImage> choose_image(db::Transaction& transaction, const db::Resource& plan,
                                 const ImageReference& reference, std::string_view region, ImagesByDefault fallback);

}  // namespace atelier::labs
