// Sends a disk file to a disk resource of the service, and goes on where an earlier attempt stopped.
#pragma once

#include <filesystem>
#include <string>

#include "atelier/service.h"
#include "base/error.h"

namespace atelier::cli {

struct DiskUpload {
  std::filesystem::path file;
  std::string disk_id;   // made unless it is there
  std::string location;  // of a new disk
};

// A name for the disk that the same unchanged file gets again, for the same purpose: so that the next attempt finds it.
// At most 80 characters that are legal in a resource's name.
Result<std::string> upload_disk_name(const std::filesystem::path& file, std::string_view purpose);

// Returns once all bytes are acknowledged and the disk takes no more. Holes and zeros are not sent. On failure or
// Ctrl-C (kCanceled) what was sent stays there for the next call.
Status upload_disk(Service& service, const DiskUpload& upload);

}  // namespace atelier::cli
