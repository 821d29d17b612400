// A store and a raw disk with known content, for tests of files in other formats.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "atelier/disk_file.h"
#include "image/disk_server_test_parts.h"
#include "image/image_record.h"
#include "image/restore.h"

namespace atelier::cli {

inline std::string bytes_of_file(const std::filesystem::path& path) {
  std::string bytes(std::filesystem::file_size(path), '\0');
  std::ifstream(path, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

// A disk of whole sectors, but of no whole anything else: a partition table, a stretch of random bytes, a hole, and
// random bytes again up to the very end.
inline std::string raw_disk(std::uint64_t bytes) {
  std::string disk(bytes, '\0');
  std::mt19937_64 random(20261126);
  const auto fill = [&](std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) disk[i] = static_cast<char>(random());
  };
  fill(bytes / 4, bytes / 4 + 70000);
  fill(bytes - 1000, bytes);
  disk[510] = '\x55';
  disk[511] = '\xaa';
  return disk;
}

class DiskFileTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kDiskBytes = (2U << 20) + (64U << 10) + 512;

  void SetUp() override {
    store_ = image::create_directory_store(file("store")).value();
    write("disk.raw", raw_disk(kDiskBytes));
    root_ = put("disk.raw").value();
  }

  std::string file(const std::string& name) const { return dir_.file(name); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(file(name), std::ios::binary | std::ios::trunc) << bytes;
  }

  // What `atelier store put` does.
  Result<image::Digest> put(const std::string& name) const {
    const auto format = TRY(image::inspect_disk_file(file(name)));
    TaskContext task;
    return TRY(store_disk_file(*store_, file(name), format, name, task))
    .record.root;
  }
  // What `atelier store get` does.
  Status get(const std::string& name, std::string_view format, std::string_view subformat) const {
    TaskContext task;
    return write_disk_file(*store_, root_, file(name), TRY(vm::parse_target_format(format, subformat)), task);
  }
  std::string bytes_of_image(const image::Digest& root) const {
    TaskContext task;
    EXPECT_TRUE(image::restore_raw_file(*store_, root, file("restored.raw"), task));
    return bytes_of_file(file("restored.raw"));
  }

  const image::TempDir dir_;
  std::unique_ptr<image::Store> store_;
  image::Digest root_;  // of disk.raw
};

}  // namespace atelier::cli
