// Packs: files of chunks with a footer that says what is where. Immutable, named by the SHA-256 of the whole file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/bucket.h"
#include "image/codec.h"
#include "image/digest.h"

namespace atelier::image {

inline constexpr std::string_view kPackPrefix = "packs/";

// One chunk of a pack.
struct PackEntry {
  Digest id;
  std::uint64_t checksum = 0;  // of the stored bytes
  std::uint32_t offset = 0;    // of the stored bytes in the file
  std::uint32_t stored_bytes = 0;
  std::uint32_t plain_bytes = 0;
  Codec codec = Codec::kRaw;

  bool operator==(const PackEntry&) const = default;
};

// "packs/ab/<hex>".
std::string pack_name(const Digest& pack);
// nullopt when the object's name is no pack's.
std::optional<Digest> parse_pack_name(std::string_view name);

// Bytes that begin at a page's start, as disks want them that take bytes without the page cache. Memory is touched only
// as it fills, and kept.
class PageBuffer {
 public:
  void reserve(std::size_t bytes);
  void append(std::span<const std::byte> bytes);
  void shrink(std::size_t bytes) { size_ = std::min(size_, bytes); }
  std::size_t size() const { return size_; }
  operator std::span<const std::byte>() const { return {memory_.get(), size_}; }

 private:
  static constexpr std::align_val_t kAlignment{4096};
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete(memory, kAlignment); }
  };
  std::unique_ptr<std::byte[], Free> memory_;
  std::size_t size_ = 0, capacity_ = 0;
};

// Builds one pack after another in the same memory.
class PackBuilder {
 public:
  explicit PackBuilder(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  bool empty() const { return entries_.empty(); }
  // Would the pack stay within its bound? An empty pack takes any chunk.
  bool has_room(std::size_t stored_bytes) const;
  void add(const Digest& id, Codec codec, std::uint32_t plain_bytes, std::span<const std::byte> stored);
  // Writes the footer; gives the file's digest. Then bytes() is the whole file.
  Digest seal();
  // Takes the footer off again, so that chunks can be added.
  void unseal();
  std::span<const std::byte> bytes() const { return bytes_; }
  std::span<const PackEntry> entries() const { return entries_; }
  void clear();

 private:
  const std::uint64_t bytes_max_;
  PageBuffer bytes_;
  std::vector<PackEntry> entries_;
  std::size_t data_bytes_ = 0;  // when sealed: where the footer begins
};

// Reads the footer out of a whole pack. kDataLoss when it is not whole.
Result<std::vector<PackEntry>> parse_pack(std::span<const std::byte> file);
// Reads only the footer from the bucket. kDataLoss when it is not whole, kNotFound when there is no such pack.
Result<std::vector<PackEntry>> read_pack_entries(Bucket& bucket, const Digest& pack);

}  // namespace atelier::image
