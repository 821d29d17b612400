// A disk file becomes a version of a gallery's image.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "atelier/service.h"
#include "base/error.h"
#include "base/json.h"

namespace atelier::cli {

struct ImageUpload {
  std::filesystem::path file;
  std::string gallery;
  std::string name;
  std::string version;   // "" is the next one
  std::string os_state;  // "" is generalized for a new image, and whatever it is for one that exists
  std::string os_type;
  std::vector<std::string> regions;
  std::string publisher = "Atelier";
  std::string offer = "Upload";
  std::string sku;
  bool no_wait = false;
};

// The image's definition is made if there is none, the file is uploaded, a version is made of it, and the upload is
// removed. Gives the version. Given again after an interruption it goes on with the upload.
Result<json::object> upload_image(Service& service, const ImageUpload& upload);

// The version after the highest; the highest again when that one failed; "1.0.0" for the first.
std::string next_version(const json::array& versions);

// The id of the gallery's image of that name, or the name itself when it is an id.
std::string image_id_in(const std::string& gallery_id, const std::string& name);

}  // namespace atelier::cli
