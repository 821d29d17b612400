#include "nbdkit_plugin/served_images.h"

#include <fmt/format.h>

#include <utility>

namespace atelier::nbdkit_plugin {

Result<std::unique_ptr<ServedImages>> ServedImages::open(const std::filesystem::path& store_folder,
                                                         const image::ReadOptions& options) {
  auto store = TRY(image::open_directory_store(store_folder, image::Access::kReadOnly));
  return std::unique_ptr<ServedImages>(new ServedImages(std::move(store), options));
}

Result<std::shared_ptr<image::ImageReader>> ServedImages::find(std::string_view export_name) {
  const auto root = image::Digest::parse(export_name);
  if (!root) return fail(Code::kNotFound, "The export name is not the digest of an image.");
  const std::lock_guard lock(mutex_);
  if (auto reader = open_images_[*root].lock()) return reader;
  std::erase_if(open_images_, [](const auto& entry) { return entry.second.expired(); });
  std::shared_ptr<image::ImageReader> reader = TRY(image::ImageReader::open(*store_, *root, options_));
  open_images_[*root] = reader;
  return reader;
}

}  // namespace atelier::nbdkit_plugin
