// The commit records of images: objects images/<root>. The record's presence is the image's existence.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "image/digest.h"
#include "image/store.h"

namespace atelier::image {

inline constexpr std::size_t kLabelBytesMax = 1024;
inline constexpr std::string_view kImagePrefix = "images/";

// "images/<hex>": the record of the image.
std::string image_name(const Digest& root);

struct ImageRecord {
  Digest root;
  std::uint64_t disk_bytes = 0;
  std::uint64_t data_bytes = 0;    // plain bytes that are no hole
  std::uint64_t new_bytes = 0;     // of them new to the store when the image was written
  std::uint64_t stored_bytes = 0;  // bytes that the new ones, with segments and root, took in packs
  TimePoint created_at;
  std::string label;  // the caller's own, e.g. the version's ARM id; of the first writer when two wrote the same disk

  bool operator==(const ImageRecord&) const = default;
};

// All images, ordered by root. A record that cannot be read is logged and left out: verify names it.
Result<std::vector<ImageRecord>> list_images(Store& store);
// nullopt when the store has no such image; kDataLoss when its record is damaged.
Result<std::optional<ImageRecord>> find_image(Store& store, const Digest& root);
// Takes the image away. It can be brought back for a while (removed_image.h); its chunks stay until a sweep after that.
// Succeeds when there is none. Two gallery versions with equal bytes share one image: the caller counts them.
Status remove_image(Store& store, const Digest& root);

// Makes the image exist. Only for writers whose bytes are durable and indexed. When it exists already the record that
// is there stays, and is what this gives. `begun_at` is the index's generation from before the writer first asked what
// the store has: when there was a sweep since, everything is looked for again, and kDataLoss says that some of it is
// gone.
Result<ImageRecord> commit_image(Store& store, const ImageRecord& record, std::uint64_t begun_at);

// The record's text; see docs/formats/store-1.md.
std::string encode_record(const ImageRecord& record);
Result<ImageRecord> decode_record(std::string_view text);

}  // namespace atelier::image
