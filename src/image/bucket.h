// Where a store's objects live: a flat set of immutable byte strings under names such as "packs/ab/<hex>".
//
// One conformance suite (bucket_test.cpp) states what every bucket must do. All calls may come from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace atelier::image {

struct BucketEntry {
  std::string name;
  std::uint64_t size_bytes = 0;

  auto operator<=>(const BucketEntry&) const = default;
};

// Fails with kInvalidArgument unless `name` is a legal object name: 1 to 200 letters, digits, '.', '-', '_' and '/',
// no empty part, and no part that begins with '.'.
Status check_object_name(std::string_view name);

// Whether a bucket, or a store over it, may be changed through this handle.
enum class Access { kReadOnly, kReadWrite };

class Bucket {
 public:
  virtual ~Bucket() = default;

  // Makes the object `name`. When put() returns without an error the object is whole and durable: a power cut a moment
  // later does not lose it. Nobody ever sees a part of it. An existing object is never touched: then kAlreadyExists,
  // and the object that exists is durable too. Any other failure: the object may or may not exist afterwards, but if it
  // does it is whole. kResourceExhausted when the disk is full. A bucket whose medium did not confirm a write
  // (failed fsync) refuses every later put with kUnavailable until it is opened again.
  virtual Status put(std::string_view name, std::span<const std::byte> bytes) = 0;

  // Reads from `offset` on into `into`; gives the number of bytes read, which is less than asked only at the object's
  // end (0 at and behind it). kNotFound when there is no such object.
  virtual Result<std::size_t> get(std::string_view name, std::uint64_t offset, std::span<std::byte> into) = 0;

  // kNotFound when there is no such object.
  virtual Result<std::uint64_t> size(std::string_view name) = 0;

  // All objects whose name begins with `prefix`, which ends in '/', ordered by name; none is no error. In a bucket that
  // is open for writing, what is listed is durable.
  virtual Result<std::vector<BucketEntry>> list(std::string_view prefix) = 0;

  // Removes the object, durably. Succeeds when there is none.
  virtual Status erase(std::string_view name) = 0;

  // Removes what interrupted puts left behind. Only the one writer may call it, while no put runs.
  virtual Status remove_leftovers() = 0;
};

// The whole object. kTooLarge above `bytes_max`.
Result<std::vector<std::byte>> get_all(Bucket& bucket, std::string_view name, std::uint64_t bytes_max);

}  // namespace atelier::image
