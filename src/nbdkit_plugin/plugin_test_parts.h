// What the plugin's tests share: a store with an image of its own, and Debian's nbdkit that serves it.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/capture.h"
#include "image/disk_server_test_parts.h"
#include "image/file_capture.h"
#include "image/geometry.h"

namespace atelier::image {

inline constexpr std::uint64_t kMiB = 1 << 20;
inline constexpr std::uint64_t kKiB = 1 << 10;

inline void write_random(const std::string& path, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  for (std::uint64_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = random();
    file.write(reinterpret_cast<const char*>(&word), 8);
  }
}

inline void make_disk(const std::string& path, std::uint64_t bytes, std::uint64_t seed) {
  std::ofstream(path).close();
  std::filesystem::resize_file(path, bytes);
  write_random(path, 0, kMiB, seed);
  write_random(path, bytes / 2, 3 * kMiB, seed + 1);
  write_random(path, bytes - 64 * kKiB, 64 * kKiB, seed + 2);
}

class PluginTest : public testing::Test {
 protected:
  void SetUp() override {
    make_disk(file("one"), kSegmentBytes + 10 * kMiB, 1);
    auto store = create_directory_store(file("store"));
    ASSERT_TRUE(store.has_value()) << store.error().message();
    store_ = std::move(*store);
    one_ = put("one");
  }

  std::string file(const std::string& name) const { return dir_.file(name); }

  std::string put(const std::string& name) {
    TaskContext task;
    const auto result = capture_raw_file(*store_, file(name), {}, task);
    EXPECT_TRUE(result.has_value()) << result.error().message();
    return result ? result->record.root.hex() : "";
  }

  static std::vector<std::string> with_preload(std::vector<std::string> command) {
    const std::string preload = ATELIER_PRELOAD;
    if (preload.empty()) return command;
    command.insert(command.begin(), {"env", "LD_PRELOAD=" + preload, "ASAN_OPTIONS=detect_leaks=0"});
    return command;
  }

  // `before` is put before the command, such as prlimit.
  std::unique_ptr<DiskServer> serve(const std::vector<std::string>& more = {},
                                    const std::vector<std::string>& before = {}) const {
    std::vector<std::string> command = {
        "nbdkit", "-f", "-r", "-t", "4", "-U", file("socket"), ATELIER_PLUGIN, "store=" + file("store")};
    command.insert(command.end(), more.begin(), more.end());
    command = with_preload(command);
    command.insert(command.begin(), before.begin(), before.end());
    return std::make_unique<DiskServer>(command, file("socket"));
  }

  const TempDir dir_;
  std::unique_ptr<Store> store_;
  std::string one_;
};

}  // namespace atelier::image
