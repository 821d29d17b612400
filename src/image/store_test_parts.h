// What the engine's tests share: a folder of their own, disks made from a seed, and writing and reading them whole.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/image_reader.h"
#include "image/image_writer.h"
#include "image/store.h"

namespace atelier::image {

// A temporary folder that goes with the object.
class TestFolder {
 public:
  TestFolder() {
    // In memory where there is room: these tests sync thousands of times, and no test can see whether a sync held.
    std::error_code error;
    const auto space = std::filesystem::space("/dev/shm", error);
    const bool fits = !error && space.available > (std::uintmax_t{1} << 30);
    std::string name =
        (fits ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) / "atelier-image-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TestFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The value itself, for loops over it: value() of a temporary is gone before the loop's first round.
template <typename T>
T taken(Result<T> result) {
  return std::move(result).value();
}

using Disk = std::vector<std::byte>;
using Random = std::mt19937_64;

inline std::uint64_t random_below(Random& random, std::uint64_t bound) {
  return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random);
}

inline void fill_random(Random& random, std::span<std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, std::min<std::size_t>(8, bytes.size() - i));
  }
}

// A file's bytes: random, or text that compresses.
inline Disk random_file(Random& random, std::size_t bytes) {
  Disk file(bytes);
  fill_random(random, file);
  if (random_below(random, 2) == 0) {
    for (std::byte& b : file) b = static_cast<std::byte>('a' + std::to_integer<int>(b) % 8);
  }
  return file;
}

// A sparse disk such as a file system leaves: files on grain edges, holes between them, some files twice.
inline Disk random_disk(std::uint64_t seed, std::size_t bytes) {
  Random random(seed);
  Disk disk(bytes);
  std::vector<Disk> files;
  std::size_t at = 0;
  while (at < bytes) {
    if (random_below(random, 4) == 0) at += random_below(random, 64) * 4096;
    if (files.empty() || random_below(random, 4) != 0) {
      files.push_back(random_file(random, 1 + random_below(random, random_below(random, 8) == 0 ? 1500000 : 40000)));
    }
    const Disk& file = files[random_below(random, files.size())];
    if (at >= bytes) break;
    std::copy_n(file.begin(), std::min(file.size(), bytes - at), disk.begin() + static_cast<std::ptrdiff_t>(at));
    at += (file.size() + 4095) / 4096 * 4096;
  }
  return disk;
}

// Appends the disk in pieces of random lengths, telling the writer of some of the holes.
inline Status append_disk(ImageWriter& writer, std::span<const std::byte> disk, Random& random) {
  while (!disk.empty()) {
    std::size_t count = std::min<std::size_t>(disk.size(), 1 + random_below(random, 300000));
    if (random_below(random, 2) == 0) count = std::min<std::size_t>(disk.size(), (count + 4095) / 4096 * 4096);
    const auto piece = disk.first(count);
    const bool zero = std::ranges::all_of(piece, [](std::byte b) { return b == std::byte{0}; });
    TRY(zero ? writer.append_hole(count) : writer.append_data(piece));
    disk = disk.subspan(count);
  }
  return {};
}

inline Result<ImageRecord> write_disk(Store& store, std::span<const std::byte> disk, const std::string& label = "test",
                                      std::uint64_t seed = 1) {
  Random random(seed);
  const auto writer = TRY(ImageWriter::begin(store, disk.size(), {.label = label, .threads = 2}));
  TRY(append_disk(*writer, disk, random));
  return writer->finish();
}

inline Result<Disk> read_disk(Store& store, const Digest& root) {
  const auto reader = TRY(ImageReader::open(store, root));
  Disk disk(reader->disk_bytes());
  TRY(reader->read(0, disk));
  return disk;
}

inline Disk file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline void flip_bit(const std::filesystem::path& path, std::uint64_t offset, unsigned bit) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const int value = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(value ^ (1 << bit)));
}

// Small packs, so that small disks have several.
inline constexpr std::uint64_t kSmallPacks = 256u << 10;

// Fails the test with the error's words when the result is one.
#define ASSERT_OK(result) ASSERT_TRUE((result).has_value()) << (result).error().message()
#define EXPECT_OK(result) EXPECT_TRUE((result).has_value()) << (result).error().message()

}  // namespace atelier::image
