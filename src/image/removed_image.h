// Images that were removed and can be brought back for a while: objects removed/<root>. A sweep keeps their chunks
// until their time has passed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/digest.h"
#include "image/image_record.h"
#include "image/signed_record.h"
#include "image/store.h"

namespace atelier::image {

inline constexpr std::string_view kRemovedPrefix = "removed/";

struct RemovedImage {
  Digest root;
  std::optional<Stamp> removed_at;    // nullopt when its object is damaged: it is kept, and can be brought back
  std::optional<ImageRecord> record;  // nullopt when that was damaged
};

// All of them, ordered by root; none that is there as an image again.
Result<std::vector<RemovedImage>> list_removed(Store& store);

// Makes a removed image exist again. kNotFound when there is no such removed image, kDataLoss when it is not whole any
// more. A record that is damaged is made again from the tree.
Result<ImageRecord> undelete_image(Store& store, const Digest& root);

// The record of an image as its tree tells it: without label, and created now. Reads root and segments.
Result<ImageRecord> record_from_tree(Store& store, const Digest& root);

// Puts the record in place of the one that is there, damaged. In between the image is a removed one.
Status replace_record(Store& store, const ImageRecord& record);

// For the sweep, under the commit lock.
Status forget_removed(Store& store, const Digest& root);

}  // namespace atelier::image
