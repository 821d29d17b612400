#include "image/image_record.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/log.h"
#include "image/quarantine.h"
#include "image/signed_record.h"

namespace atelier::image {
namespace {

constexpr std::size_t kRecordBytesMax = 64 << 10;

std::unexpected<Error> damaged() { return fail(Code::kDataLoss, "The image's record is damaged."); }

}  // namespace

std::string image_name(const Digest& root) { return fmt::format("{}{}", kImagePrefix, root.hex()); }

std::string encode_record(const ImageRecord& record) {
  const json::object object{{"format", 1},
                            {"root", record.root.hex()},
                            {"diskBytes", record.disk_bytes},
                            {"dataBytes", record.data_bytes},
                            {"newBytes", record.new_bytes},
                            {"storedBytes", record.stored_bytes},
                            {"createdAt", to_rfc3339(record.created_at)},
                            {"label", record.label}};
  return encode_signed(object);
}

Result<ImageRecord> decode_record(std::string_view text) {
  const auto object = decode_signed(text);
  if (!object) return damaged();
  if (uint_at(*object, "format") != 1) {
    return fail(Code::kUnsupported, "The image's record has a format that this program does not know.");
  }
  const auto root = Digest::parse(string_at(*object, "root"));
  const auto created = parse_rfc3339(string_at(*object, "createdAt"));
  if (!root || !created) return damaged();
  return ImageRecord{.root = *root,
                     .disk_bytes = uint_at(*object, "diskBytes"),
                     .data_bytes = uint_at(*object, "dataBytes"),
                     .new_bytes = uint_at(*object, "newBytes"),
                     .stored_bytes = uint_at(*object, "storedBytes"),
                     .created_at = *created,
                     .label = string_at(*object, "label")};
}

Result<std::optional<ImageRecord>> find_image(Store& store, const Digest& root) {
  const auto bytes = get_all(store.bucket(), image_name(root), kRecordBytesMax);
  if (!bytes && bytes.error().code() == Code::kNotFound) return std::nullopt;
  const std::string doing = fmt::format("read images/{}", root.hex());
  if (!bytes) return fail(bytes.error().during(doing));
  ImageRecord record = TRY_DURING(decode_record({reinterpret_cast<const char*>(bytes->data()), bytes->size()}), doing);
  if (record.root != root) return fail(damaged().error().during(doing));
  return record;
}

Result<std::vector<ImageRecord>> list_images(Store& store) {
  std::vector<ImageRecord> records;
  for (const BucketEntry& entry : TRY(store.bucket().list(kImagePrefix))) {
    const auto root = Digest::parse(std::string_view(entry.name).substr(kImagePrefix.size()));
    if (!root) {
      log::warning("store: {} is no image record", entry.name);
      continue;
    }
    auto record = find_image(store, *root);
    if (!record) log::warning("store: {}", record.error().message());
    if (record && *record) records.push_back(std::move(**record));
  }
  return records;
}

Result<ImageRecord> commit_image(Store& store, const ImageRecord& record, std::uint64_t begun_at) {
  const auto lock = TRY_DURING(store.lock_commits(FileLock::Kind::kShared), "commit the image");
  const auto trash = TRY_DURING(follow_sweeps(store), "commit the image");
  if (trash->generation != begun_at) TRY_DURING(require_whole_tree(store, record.root), "commit the image");
  const std::string text = encode_record(record);
  const Status made = store.bucket().put(image_name(record.root), std::as_bytes(std::span(text)));
  if (made) return record;
  if (made.error().code() != Code::kAlreadyExists) return fail(made.error().during("commit the image"));
  const auto existing = TRY_DURING(find_image(store, record.root), "commit the image");
  if (!existing) return fail(Code::kConflict, "The image was removed while it was being written again. Try again.");
  return *existing;
}

}  // namespace atelier::image
