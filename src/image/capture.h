// A disk becomes an image: from an NBD server. From a raw file: file_capture.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/task_context.h"
#include "image/digest.h"
#include "image/image_record.h"
#include "image/store.h"

namespace atelier::image {

struct CaptureOptions {
  std::string nbd_uri{};
  // The size the disk must have, when the caller knows it: kInvalidArgument when the server offers another.
  std::optional<std::uint64_t> disk_bytes{};
  // The image that the disk's topmost layers lie on, when the server offers an overlay: segments without a write in
  // them are taken over from it unread. The image must have the very bytes below the layers. Without effect when
  // the server does not tell the layers' writes, or when the store lacks the image or part of it.
  std::optional<Digest> parent{};
  unsigned layers = 1;  // how many of the disk's topmost layers lie above the parent
  // For a disk with a parent: offers the topmost layer without what lies below it, and tells its writes. What changed
  // is then asked here, because a server of the whole disk asks the one below about each of that one's holes. "" =
  // none.
  std::string changes_uri{};
  std::string label{};       // of the image's record
  unsigned connections = 2;  // at most
  unsigned requests_in_flight = 32;
  unsigned threads = 0;  // for hashing and compressing; 0 = one per processor
};

struct CaptureResult {
  ImageRecord record;
  std::uint64_t bytes_read = 0;  // from the server or file: no holes, no segments taken over
};

// Reads a disk that nobody writes to and commits it as an image. The result is the same root however much was taken
// over. Progress: phase "Reading" up to the disk's size, then "Committing". Ends with kCanceled within about a second
// of a stop, leaving no image. May be started again from the top at any time: what is in the store already is not
// stored twice. Memory: under 256 MiB.
Result<CaptureResult> capture_disk(Store& store, const CaptureOptions& options, TaskContext& task);

}  // namespace atelier::image
