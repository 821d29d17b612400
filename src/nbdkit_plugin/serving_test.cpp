// How the plugin serves many readers: what it reads of the store, what it keeps, and what it does when that fails.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "image/copy.h"
#include "nbdkit_plugin/plugin_test_parts.h"

namespace atelier::image {
namespace {

namespace fs = std::filesystem;

class Serving : public PluginTest {
 protected:
  std::vector<std::string> with_cache(std::uint64_t mebibytes = 256) const {
    return {"cache-file=" + file("cache"), fmt::format("cache-mib={}", mebibytes), "stats=" + file("stats")};
  }
  // A count of the statistics, once it stands still: they are written every quarter of a second.
  std::uint64_t count(const std::string& name) const {
    std::string before;
    for (int i = 0; i < 100; ++i) {
      std::ifstream stream(file("stats"));
      const std::string text{std::istreambuf_iterator<char>(stream), {}};
      if (!text.empty() && text == before) break;
      before = text;
      std::this_thread::sleep_for(std::chrono::milliseconds(350));
    }
    const auto counts = parse_json_object(before);
    return counts ? uint_at(*counts, name) : ~std::uint64_t{0};
  }
  // Waits until a count is at least this.
  bool reaches(const std::string& name, std::uint64_t least) const {
    for (int i = 0; i < 300; ++i) {
      std::ifstream stream(file("stats"));
      const std::string text{std::istreambuf_iterator<char>(stream), {}};
      const auto counts = parse_json_object(text);
      if (counts && uint_at(*counts, name) >= least) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return false;
  }
  // Here and there over the disk, as a guest that boots does; gives what qemu-io said.
  std::string boot(const DiskServer& server) const {
    std::string reads;
    for (const std::uint64_t at : {0, 38, 37, 39}) reads += fmt::format(" -c 'read {}M 1M'", at);
    reads += " -c 'read 512k 4k' -c 'read 38M 700k' -c 'read 1020k 100k'";
    return run(fmt::format("qemu-io -r -f raw {} '{}'", reads, server.uri(one_)));
  }
  void copy_is_right(const DiskServer& server) const {
    run(fmt::format("nbdcopy --connections=1 '{}' {}", server.uri(one_), file("copy")));
    run(fmt::format("cmp {} {}", file("one"), file("copy")));
  }
  void damage_all_packs() const {
    for (const auto& entry : fs::recursive_directory_iterator(file("store") + "/packs")) {
      if (entry.is_regular_file()) {
        std::fstream pack(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
        pack.seekp(8);
        pack << std::string(entry.file_size() / 2, '\x5a');
      }
    }
  }
};

TEST_F(Serving, ThirtyClientsTogetherReadEveryChunkOfTheStoreOnce) {
  const auto parameters = with_cache();
  std::uint64_t of_one = 0;
  {
    const auto server = serve(parameters);
    copy_is_right(*server);
    ASSERT_TRUE(reaches("storeChunks", 21));
    of_one = count("storeChunks");
  }
  fs::remove(file("cache"));
  fs::remove(file("stats"));
  const auto server = serve(parameters);
  std::vector<std::jthread> clients;
  for (int i = 0; i < 30; ++i) {
    clients.emplace_back(
        [&] { run(fmt::format("nbdcopy --connections=1 '{}' - | cmp {} -", server->uri(one_), file("one"))); });
  }
  clients.clear();
  ASSERT_TRUE(reaches("storeChunks", of_one));
  EXPECT_EQ(count("storeChunks"), of_one);
}

TEST_F(Serving, TheCacheFileSurvivesTheServersDeath) {
  {
    const auto server = serve(with_cache());
    copy_is_right(*server);
  }  // SIGKILL
  fs::remove(file("stats"));
  const auto server = serve(with_cache());
  copy_is_right(*server);
  ASSERT_TRUE(reaches("cacheFileChunks", 21));
  EXPECT_EQ(count("storeChunks"), 0U);
}

TEST_F(Serving, ADamagedCacheFileGivesRightBytes) {
  {
    copy_is_right(*serve(with_cache()));
  }
  const std::uint64_t size = fs::file_size(file("cache"));
  std::fstream cache(file("cache"), std::ios::binary | std::ios::in | std::ios::out);
  for (std::uint64_t at = 5000; at < size; at += 60007) {
    cache.seekp(static_cast<std::streamoff>(at));
    cache.put('\x77');
  }
  cache.close();
  copy_is_right(*serve(with_cache()));
}

TEST_F(Serving, AFullDiskCostsTheCacheAndNoBytes) {
  // A limit on the length of files does to the cache file what a full disk does.
  const auto server = serve(with_cache(), {"prlimit", "--fsize=1000000"});
  copy_is_right(*server);
  copy_is_right(*server);
  EXPECT_LE(fs::file_size(file("cache")), 1000000U);
}

TEST_F(Serving, TheFirstBootIsRecordedAndReadAheadOfTheNext) {
  const std::string trace = file("store") + "/traces/" + one_;
  {
    const auto server = serve({"stats=" + file("stats")});
    boot(*server);
    EXPECT_TRUE(reaches("tracesRecorded", 1));
  }
  ASSERT_TRUE(fs::is_regular_file(trace));
  EXPECT_LT(fs::file_size(trace), 1000U);
  const auto written = fs::last_write_time(trace);
  const auto server = serve({"stats=" + file("stats")});
  // A client that reads nothing at all: what is read of the store is the trace's.
  const DiskServer idle({"nbdkit", "-f", "-U", file("idle"), "nbd", "shared=true", "uri=" + server->uri(one_)},
                        file("idle"));
  EXPECT_TRUE(reaches("storeBytes", 4 << 20));
  EXPECT_EQ(count("tracesReplayed"), 1U);
  EXPECT_EQ(count("bytes"), 0U);
  const std::uint64_t read_ahead = count("storeChunks");
  boot(*server);
  ASSERT_TRUE(reaches("bytes", 1 << 20));
  EXPECT_EQ(count("storeChunks"), read_ahead) << "all was there";
  EXPECT_EQ(fs::last_write_time(trace), written) << "a trace is written once";
}

TEST_F(Serving, ACopyIsNotTakenForABoot) {
  {
    const auto server = serve({"stats=" + file("stats")});
    copy_is_right(*server);
  }
  EXPECT_FALSE(fs::exists(file("store") + "/traces/" + one_));
}

TEST_F(Serving, ADamagedTraceIsLeftAside) {
  fs::create_directory(file("store") + "/traces");
  std::ofstream(file("store") + "/traces/" + one_) << "ATTRAC01 and what no trace holds";
  copy_is_right(*serve());
}

TEST_F(Serving, WhatItsStoreHasLostComesFromAnotherRegion) {
  {
    const auto other = create_directory_store(file("other"));
    TaskContext task;
    ASSERT_TRUE(copy_image(*store_, **other, Digest::parse(one_).value(), task).has_value());
  }
  damage_all_packs();
  EXPECT_NE(try_run(fmt::format("nbdcopy '{}' null:", serve()->uri(one_))).exit_code, 0) << "it cannot be read";
  const auto server = serve({"heal-from=" + file("nowhere"), "heal-from=" + file("other"), "stats=" + file("stats")});
  copy_is_right(*server);
  EXPECT_TRUE(reaches("healedChunks", 11));
  EXPECT_EQ(count("failedChunks"), 0U);
}

TEST_F(Serving, HydrationBringsTheWholeImageIntoTheCacheFile) {
  auto parameters = with_cache();
  parameters.insert(parameters.end(), {"hydrate=on", "trace-seconds=1", "read-ahead-mib=0"});
  {
    const auto server = serve(parameters);
    const DiskServer idle({"nbdkit", "-f", "-U", file("idle"), "nbd", "shared=true", "uri=" + server->uri(one_)},
                          file("idle"));
    ASSERT_TRUE(reaches("hydratedBytes", fs::file_size(file("one"))));
    EXPECT_EQ(count("bytes"), 0U) << "nobody has read anything";
  }
  fs::remove(file("stats"));
  const auto server = serve(with_cache());
  copy_is_right(*server);
  ASSERT_TRUE(reaches("cacheFileChunks", 1));
  EXPECT_EQ(count("storeChunks"), 0U);
}

}  // namespace
}  // namespace atelier::image
