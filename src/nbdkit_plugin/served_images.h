// The images of one store as the plugin serves them: one reader per image, shared by all connections to it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

#include "base/error.h"
#include "image/digest.h"
#include "image/image_reader.h"
#include "image/store.h"

namespace atelier::nbdkit_plugin {

// Thread-safe.
class ServedImages {
 public:
  static Result<std::unique_ptr<ServedImages>> open(const std::filesystem::path& store_folder,
                                                    const image::ReadOptions& options);

  // The image that an export name (a root in hexadecimal) means; also one committed after this was opened. kNotFound
  // for a name that is no image's. Shared: the last connection that closes lets it go.
  Result<std::shared_ptr<image::ImageReader>> find(std::string_view export_name);

 private:
  ServedImages(std::unique_ptr<image::Store> store, const image::ReadOptions& options)
      : store_(std::move(store)), options_(options) {}

  const std::unique_ptr<image::Store> store_;
  const image::ReadOptions options_;
  std::mutex mutex_;
  std::map<image::Digest, std::weak_ptr<image::ImageReader>> open_images_;
};

}  // namespace atelier::nbdkit_plugin
