#include "image/removed_image.h"

#include <fmt/format.h>

#include "base/log.h"
#include "image/boot_trace.h"
#include "image/quarantine.h"
#include "image/tree.h"

namespace atelier::image {
namespace {

std::string removed_name(const Digest& root) { return fmt::format("{}{}", kRemovedPrefix, root.hex()); }

// kNotFound when there is none. A damaged object gives a removed image of which only the root is known.
Result<RemovedImage> read_removed(Store& store, const Digest& root) {
  const auto bytes = TRY(get_all(store.bucket(), removed_name(root), kSignedRecordBytesMax));
  RemovedImage removed{.root = root, .removed_at = std::nullopt, .record = std::nullopt};
  const auto object = decode_signed({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!object || string_at(*object, "root") != root.hex()) return removed;
  const auto stamp = stamp_at(*object);
  if (stamp) removed.removed_at = *stamp;
  const auto record = decode_record(string_at(*object, "record"));
  if (record && record->root == root) removed.record = *record;
  return removed;
}

}  // namespace

namespace {

// `text` is the image's record, empty when it is not known.
Status put_removed(Store& store, const Digest& root, std::string_view text) {
  json::object object{{"format", 1}, {"root", root.hex()}};
  put_stamp(object, Stamp::now());
  object["record"] = text;
  const std::string removed = encode_signed(object);
  Status put = store.bucket().put(removed_name(root), std::as_bytes(std::span(removed)));
  if (put || put.error().code() != Code::kAlreadyExists) return put;
  // Removed before, and written again since.
  TRY(store.bucket().erase(removed_name(root)));
  put = store.bucket().put(removed_name(root), std::as_bytes(std::span(removed)));
  // Another removes it too: that record is as new.
  if (!put && put.error().code() == Code::kAlreadyExists) return {};
  return put;
}

}  // namespace

// Each step leaves the image where a sweep finds it: among the images, among the removed ones, or both.
Status remove_image(Store& store, const Digest& root) {
  if (store.access() == Access::kReadOnly) {
    return fail(Code::kFailedPrecondition, "The store is open for reading only.");
  }
  const auto lock = TRY_DURING(store.lock_commits(FileLock::Kind::kShared), "remove the image");
  const std::string name = image_name(root);
  const auto bytes = get_all(store.bucket(), name, kSignedRecordBytesMax);
  if (!bytes && bytes.error().code() == Code::kNotFound) return {};
  const std::string_view text =
      bytes ? std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size()) : std::string_view();
  TRY_DURING(put_removed(store, root, decode_record(text) ? text : std::string_view()), "remove the image");
  TRY(store.bucket().erase(name));
  // A trace that stays behind harms nobody: the image is gone.
  if (const Status erased = store.bucket().erase(trace_name(root)); !erased) {
    log::warning("store: {}", erased.error().message());
  }
  return {};
}

Result<std::vector<RemovedImage>> list_removed(Store& store) {
  std::vector<RemovedImage> all;
  for (const BucketEntry& entry : TRY(store.bucket().list(kRemovedPrefix))) {
    const auto root = Digest::parse(std::string_view(entry.name).substr(kRemovedPrefix.size()));
    if (!root || store.bucket().size(image_name(*root))) continue;
    auto removed = read_removed(store, *root);
    if (!removed && removed.error().code() == Code::kNotFound) continue;
    if (!removed) log::warning("store: {}: {}", entry.name, removed.error().message());
    if (!removed) removed = RemovedImage{.root = *root, .removed_at = std::nullopt, .record = std::nullopt};
    all.push_back(std::move(*removed));
  }
  return all;
}

Result<ImageRecord> record_from_tree(Store& store, const Digest& root) {
  const Root tree = TRY(read_root(store, root));
  ImageRecord record{.root = root, .disk_bytes = tree.disk_bytes, .created_at = now(), .label = {}};
  for (std::size_t i = 0; i < tree.segments.size(); ++i) {
    const auto segment = TRY(read_segment(store, tree.segments[i], segment_bytes(tree.disk_bytes, i)));
    record.data_bytes += segment.data_bytes();
  }
  return record;
}

Result<ImageRecord> undelete_image(Store& store, const Digest& root) {
  constexpr std::string_view kDoing = "bring the image back";
  if (store.access() == Access::kReadOnly) {
    return fail(Code::kFailedPrecondition, "The store is open for reading only.");
  }
  const auto lock = TRY_DURING(store.lock_commits(FileLock::Kind::kShared), kDoing);
  const auto removed = read_removed(store, root);
  if (!removed && removed.error().code() == Code::kNotFound) {
    return fail(Code::kNotFound,
                fmt::format("The store has no removed image {}. Either it was not removed here, or its "
                            "time has passed and a sweep has taken it.",
                            root.hex()));
  }
  if (!removed) return fail(removed.error().during(kDoing));
  TRY_DURING(require_whole_tree(store, root), kDoing);
  const ImageRecord record = removed->record ? *removed->record : TRY_DURING(record_from_tree(store, root), kDoing);
  const std::string text = encode_record(record);
  const Status made = store.bucket().put(image_name(root), std::as_bytes(std::span(text)));
  if (!made && made.error().code() != Code::kAlreadyExists) return fail(made.error().during(kDoing));
  TRY_DURING(store.bucket().erase(removed_name(root)), kDoing);
  return record;
}

Status replace_record(Store& store, const ImageRecord& record) {
  constexpr std::string_view kDoing = "replace the image's record";
  const auto lock = TRY_DURING(store.lock_commits(FileLock::Kind::kShared), kDoing);
  const std::string text = encode_record(record);
  const std::string name = image_name(record.root);
  TRY_DURING(put_removed(store, record.root, text), kDoing);
  TRY_DURING(store.bucket().erase(name), kDoing);
  TRY_DURING(store.bucket().put(name, std::as_bytes(std::span(text))), kDoing);
  return store.bucket().erase(removed_name(record.root));
}

Status forget_removed(Store& store, const Digest& root) { return store.bucket().erase(removed_name(root)); }

}  // namespace atelier::image
