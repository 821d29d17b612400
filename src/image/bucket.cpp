#include "image/bucket.h"

#include <fmt/format.h>

#include <algorithm>

namespace atelier::image {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

}  // namespace

Status check_object_name(std::string_view name) {
  bool legal = !name.empty() && name.size() <= 200;
  bool at_part_start = true;
  for (const char c : name) {
    if (c == '/') {
      legal = legal && !at_part_start;
      at_part_start = true;
      continue;
    }
    legal = legal && is_name_character(c) && !(at_part_start && c == '.');
    at_part_start = false;
  }
  if (!legal || at_part_start) return fail(Code::kInvalidArgument, "The object name is not legal.");
  return {};
}

Result<std::vector<std::byte>> get_all(Bucket& bucket, std::string_view name, std::uint64_t bytes_max) {
  const std::uint64_t size = TRY(bucket.size(name));
  if (size > bytes_max) {
    return fail(Code::kTooLarge,
                fmt::format("The object {} has {} bytes, above the bound of {}.", name, size, bytes_max));
  }
  std::vector<std::byte> bytes(size);
  const std::size_t count = TRY(bucket.get(name, 0, bytes));
  bytes.resize(count);
  return bytes;
}

}  // namespace atelier::image
