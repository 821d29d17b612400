#include "image/pack.h"

#include <fmt/format.h>

#include <cstring>

#include "base/check.h"
#include "image/geometry.h"
#include "image/wire.h"

namespace atelier::image {
namespace {

constexpr std::string_view kHeadMagic = "ATPACK01";
constexpr std::string_view kTailMagic = "ATPEND01";
constexpr std::size_t kHeadBytes = 8;
constexpr std::size_t kEntryBytes = 56;  // id 32, checksum 8, offset 4, stored 4, plain 4, codec 1, zero 3
constexpr std::size_t kTailBytes = 24;   // count 4, zero 4, checksum of all entries 8, magic 8

std::unexpected<Error> damaged() { return fail(Code::kDataLoss, "The pack's footer is damaged."); }

struct Tail {
  std::uint32_t count = 0;
  std::uint64_t checksum = 0;
};

Result<Tail> parse_tail(std::span<const std::byte> bytes, std::uint64_t file_bytes) {
  WireReader reader(bytes);
  Tail tail;
  tail.count = reader.number<std::uint32_t>();
  const auto zero = reader.number<std::uint32_t>();
  tail.checksum = reader.number<std::uint64_t>();
  if (!reader.text(kTailMagic) || zero != 0 || tail.count == 0) return damaged();
  if (kHeadBytes + tail.count * std::uint64_t{kEntryBytes} + kTailBytes > file_bytes) return damaged();
  return tail;
}

// `data_end`: where the footer begins. Chunks lie back to back from the header to there.
Result<std::vector<PackEntry>> parse_entries(std::span<const std::byte> footer, const Tail& tail,
                                             std::uint64_t data_end) {
  if (checksum(footer) != tail.checksum) return damaged();
  WireReader reader(footer);
  std::vector<PackEntry> entries(tail.count);
  std::uint64_t expected = kHeadBytes;
  for (PackEntry& entry : entries) {
    entry.id = reader.digest();
    entry.checksum = reader.number<std::uint64_t>();
    entry.offset = reader.number<std::uint32_t>();
    entry.stored_bytes = reader.number<std::uint32_t>();
    entry.plain_bytes = reader.number<std::uint32_t>();
    const auto codec = reader.number<std::uint32_t>();
    entry.codec = static_cast<Codec>(codec);
    if (codec > 1 || entry.offset != expected || entry.plain_bytes == 0 || entry.plain_bytes > kChunkBytesMax) {
      return damaged();
    }
    expected += entry.stored_bytes;
  }
  if (!reader.ok() || reader.left() != 0 || expected != data_end) return damaged();
  return entries;
}

}  // namespace

std::string pack_name(const Digest& pack) {
  const std::string hex = pack.hex();
  return fmt::format("{}{}/{}", kPackPrefix, hex.substr(0, 2), hex);
}

std::optional<Digest> parse_pack_name(std::string_view name) {
  if (name.size() != kPackPrefix.size() + 3 + 64) return std::nullopt;
  const auto digest = Digest::parse(name.substr(kPackPrefix.size() + 3));
  if (!digest || pack_name(*digest) != name) return std::nullopt;
  return *digest;
}

void PageBuffer::reserve(std::size_t bytes) {
  if (bytes <= capacity_) return;
  std::unique_ptr<std::byte[], Free> memory(static_cast<std::byte*>(::operator new(bytes, kAlignment)));
  if (size_ > 0) std::memcpy(memory.get(), memory_.get(), size_);
  memory_ = std::move(memory);
  capacity_ = bytes;
}

void PageBuffer::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (size_ + bytes.size() > capacity_) reserve(std::max(size_ + bytes.size(), 2 * capacity_));
  std::memcpy(memory_.get() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

bool PackBuilder::has_room(std::size_t stored_bytes) const {
  if (entries_.empty()) return true;
  return bytes_.size() + stored_bytes + (entries_.size() + 1) * kEntryBytes + kTailBytes <= bytes_max_;
}

void PackBuilder::add(const Digest& id, Codec codec, std::uint32_t plain_bytes, std::span<const std::byte> stored) {
  if (bytes_.size() == 0) {
    bytes_.reserve(bytes_max_);
    bytes_.append(std::as_bytes(std::span(kHeadMagic)));
  }
  entries_.push_back({id, checksum(stored), static_cast<std::uint32_t>(bytes_.size()),
                      static_cast<std::uint32_t>(stored.size()), plain_bytes, codec});
  bytes_.append(stored);
  CHECK(bytes_.size() <= kPackBytesMax);
}

Digest PackBuilder::seal() {
  data_bytes_ = bytes_.size();
  std::vector<std::byte> footer;
  footer.reserve(entries_.size() * kEntryBytes + kTailBytes);
  for (const PackEntry& entry : entries_) {
    put_digest(footer, entry.id);
    put_number(footer, entry.checksum);
    put_number(footer, entry.offset);
    put_number(footer, entry.stored_bytes);
    put_number(footer, entry.plain_bytes);
    put_number(footer, static_cast<std::uint32_t>(entry.codec));
  }
  const std::uint64_t sum = checksum(footer);
  put_number(footer, static_cast<std::uint32_t>(entries_.size()));
  put_number(footer, std::uint32_t{0});
  put_number(footer, sum);
  put_text(footer, kTailMagic);
  bytes_.append(footer);
  return sha256(bytes_);
}

void PackBuilder::unseal() { bytes_.shrink(data_bytes_); }

void PackBuilder::clear() {
  bytes_.shrink(0);
  entries_.clear();
}

Result<std::vector<PackEntry>> parse_pack(std::span<const std::byte> file) {
  if (file.size() < kHeadBytes + kTailBytes || !WireReader(file).text(kHeadMagic)) return damaged();
  const Tail tail = TRY(parse_tail(file.last(kTailBytes), file.size()));
  const std::size_t data_end = file.size() - kTailBytes - tail.count * kEntryBytes;
  return parse_entries(file.subspan(data_end, tail.count * kEntryBytes), tail, data_end);
}

Result<std::vector<PackEntry>> read_pack_entries(Bucket& bucket, const Digest& pack) {
  const std::string name = pack_name(pack);
  const std::uint64_t size = TRY(bucket.size(name));
  if (size < kHeadBytes + kTailBytes || size > 2 * kPackBytesMax) return damaged();
  std::vector<std::byte> bytes(kTailBytes);
  if (TRY(bucket.get(name, size - kTailBytes, bytes)) != bytes.size()) return damaged();
  const Tail tail = TRY(parse_tail(bytes, size));
  const std::uint64_t data_end = size - kTailBytes - tail.count * std::uint64_t{kEntryBytes};
  bytes.resize(tail.count * kEntryBytes);
  if (TRY(bucket.get(name, data_end, bytes)) != bytes.size()) return damaged();
  return parse_entries(bytes, tail, data_end);
}

}  // namespace atelier::image
