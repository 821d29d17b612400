// The plugin in Debian's nbdkit, asked by libnbd's and QEMU's own programs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "nbdkit_plugin/plugin_test_parts.h"

namespace atelier::image {
namespace {

namespace fs = std::filesystem;

class Plugin : public PluginTest {};

TEST_F(Plugin, GivesTheVeryBytesOfTwoImagesAtOnce) {
  make_disk(file("two"), 20 * kMiB + 512, 10);
  const std::string two = put("two");
  const auto server = serve();
  std::jthread other([&] { run(fmt::format("nbdcopy '{}' {}", server->uri(one_), file("one.copy"))); });
  run(fmt::format("nbdcopy --connections=4 --requests=16 '{}' {}", server->uri(two), file("two.copy")));
  other.join();
  run(fmt::format("cmp {} {}", file("one"), file("one.copy")));
  run(fmt::format("cmp {} {}", file("two"), file("two.copy")));
}

TEST_F(Plugin, TellsSizeHolesAndThatItCanOnlyBeRead) {
  const auto server = serve();
  const auto info = parse_json_object(run(fmt::format("nbdinfo --json '{}'", server->uri(one_))));
  ASSERT_TRUE(info.has_value());
  const json::object& disk = info->at("exports").as_array().at(0).as_object();
  EXPECT_EQ(uint_at(disk, "export-size"), kSegmentBytes + 10 * kMiB);
  EXPECT_TRUE(bool_at(disk, "is_read_only"));
  EXPECT_TRUE(bool_at(disk, "can_multi_conn"));
  EXPECT_EQ(uint_at(disk, "block_size_preferred"), 65536U);

  const auto map = parse_json(run(fmt::format("nbdinfo --json --map '{}'", server->uri(one_))));
  ASSERT_TRUE(map.has_value());
  std::uint64_t data_bytes = 0;
  std::uint64_t end = 0;
  for (const json::value& extent : map->as_array()) {
    EXPECT_EQ(uint_at(extent.as_object(), "offset"), end);
    end += uint_at(extent.as_object(), "length");
    if (uint_at(extent.as_object(), "type") == 0) data_bytes += uint_at(extent.as_object(), "length");
  }
  EXPECT_EQ(end, kSegmentBytes + 10 * kMiB);
  EXPECT_EQ(data_bytes, 4 * kMiB + 64 * kKiB);
}

TEST_F(Plugin, TakesPreferencesForMemoryAndReadAhead) {
  const auto server = serve({"memory-mib=1", "read-ahead-mib=0"});
  run(fmt::format("nbdcopy --connections=4 '{}' {}", server->uri(one_), file("one.copy")));
  run(fmt::format("cmp {} {}", file("one"), file("one.copy")));
}

TEST_F(Plugin, AClientThatDiesWithRequestsInFlightTakesNobodyAlong) {
  make_disk(file("full"), 64 * kMiB, 40);
  write_random(file("full"), 0, 64 * kMiB, 41);
  const std::string full = put("full");
  const auto server = serve({"--filter=delay", "rdelay=30ms"});
  for (int i = 0; i < 10; ++i) {
    const Outcome outcome =
        try_run(fmt::format("timeout -s KILL 0.2 nbdcopy --connections=1 --requests=32 '{}' null:", server->uri(full)));
    EXPECT_EQ(outcome.exit_code, 137) << "it was to die in the middle: " << outcome.output;
    ASSERT_EQ(try_run(fmt::format("nbdinfo --size '{}'", server->uri(full))).exit_code, 0) << "after " << i;
  }
}

TEST_F(Plugin, RefusesNamesThatAreNoImages) {
  const auto server = serve();
  for (const std::string& name : {std::string(), std::string("x"), std::string(64, 'a'), one_.substr(1), one_ + "0",
                                  std::string("..%2F..%2Fetc%2Fpasswd")}) {
    EXPECT_NE(try_run(fmt::format("nbdinfo --size '{}'", server->uri(name))).exit_code, 0) << name;
  }
  EXPECT_EQ(try_run(fmt::format("nbdinfo --size '{}'", server->uri(one_))).exit_code, 0) << "and goes on serving";
}

TEST_F(Plugin, FindsAnImageThatIsCommittedWhileItRuns) {
  const auto server = serve();
  run(fmt::format("nbdinfo --size '{}'", server->uri(one_)));
  make_disk(file("late"), 30 * kMiB, 20);
  const std::string late = put("late");
  run(fmt::format("nbdcopy '{}' {}", server->uri(late), file("late.copy")));
  run(fmt::format("cmp {} {}", file("late"), file("late.copy")));
}

TEST_F(Plugin, RefusesBadParameters) {
  struct Case {
    std::string parameters;
    std::string message;
  };
  const std::string store = "store=" + file("store");
  for (const Case& one :
       {Case{"", "store=DIR is missing"}, Case{"store=" + dir_.path().string(), "cannot open the store"},
        Case{store + " colour=red", "unknown parameter 'colour'"}, Case{store + " memory-mib=0", "1 to 65536"},
        Case{store + " cache-mib=x", "16 to 4194304"}, Case{store + " trace=maybe", "on or off"}}) {
    const Outcome outcome =
        try_run("LD_PRELOAD=" ATELIER_PRELOAD " ASAN_OPTIONS=detect_leaks=0 timeout -s KILL 5 nbdkit -f -U " +
                file("socket") + " " ATELIER_PLUGIN " " + one.parameters);
    EXPECT_NE(outcome.output.find(one.message), std::string::npos) << outcome.output;
    EXPECT_NE(outcome.exit_code, 0);
    // With a sanitizer's runtime in front, a library of nbdkit's hangs at exit.
    const bool may_hang = *ATELIER_PRELOAD != '\0';
    EXPECT_TRUE(outcome.exit_code != 137 || may_hang) << "it serves with: " << one.parameters;
  }
}

TEST_F(Plugin, ADamagedChunkIsAnErrorAndNeverWrongBytes) {
  make_disk(file("good"), 16 * kMiB, 30);
  const std::string good = put("good");
  // Turn over one byte in the middle of the pack of the first image's data.
  std::vector<fs::path> packs;
  for (const auto& entry : fs::recursive_directory_iterator(file("store") + "/packs")) {
    if (entry.is_regular_file()) packs.push_back(entry.path());
  }
  ASSERT_FALSE(packs.empty());
  std::ranges::sort(packs, {}, [](const fs::path& path) { return fs::last_write_time(path); });
  {
    std::fstream pack(packs.front(), std::ios::binary | std::ios::in | std::ios::out);
    const auto middle = static_cast<std::streamoff>(fs::file_size(packs.front()) / 2);
    pack.seekg(middle);
    const int byte = pack.get();
    pack.seekp(middle);
    pack.put(static_cast<char>(byte ^ 0xff));
  }
  const auto server = serve();
  EXPECT_NE(try_run(fmt::format("nbdcopy '{}' {}", server->uri(one_), file("one.copy"))).exit_code, 0);
  // Every 64 KiB of it is either right or an error.
  std::string reads;
  for (std::uint64_t at = 0; at < kMiB; at += 65536) reads += fmt::format(" -c 'read {} 64k'", at);
  for (std::uint64_t at = 0; at < 3 * kMiB; at += 65536) {
    reads += fmt::format(" -c 'read {} 64k'", (kSegmentBytes + 10 * kMiB) / 2 + at);
  }
  const std::string answers = try_run(fmt::format("qemu-io -r -f raw {} '{}'", reads, server->uri(one_))).output;
  std::size_t errors = 0;
  for (std::size_t at = answers.find("Input/output error"); at != std::string::npos;
       at = answers.find("Input/output error", at + 1)) {
    ++errors;
  }
  EXPECT_GE(errors, 1U) << answers;
  EXPECT_LE(errors, 10U) << "one chunk is at most 512 KiB: only its readers fail";
  run(fmt::format("nbdcopy '{}' {}", server->uri(good), file("good.copy")));
  run(fmt::format("cmp {} {}", file("good"), file("good.copy")));
}

TEST_F(Plugin, AnOverlayOnItReadsAndWritesRight) {
  const auto server = serve();
  run(fmt::format("qemu-img create -q -f qcow2 -F raw -b '{}' {}", server->uri(one_), file("top")));
  run(fmt::format("qemu-img convert -f qcow2 -O raw {} {}", file("top"), file("flat")));
  run(fmt::format("cmp {} {}", file("one"), file("flat")));
  run(fmt::format("qemu-io -f qcow2 -c 'write -P 7 70000 3000' -c 'read -P 7 70000 3000' {}", file("top")));
  run(fmt::format("qemu-img convert -f qcow2 -O raw {} {}", file("top"), file("flat")));
  run(fmt::format("cmp -n 69632 {} {}", file("one"), file("flat")));

  // And its capture over the parent gives the root that a full scan gives.
  const DiskServer overlay(qemu_nbd(file("top"), file("overlay")), file("overlay"));
  TaskContext task;
  const auto result = capture_disk(*store_, {.nbd_uri = overlay.uri(), .parent = Digest::parse(one_).value()}, task);
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->record.root.hex(), put("flat"));
}

TEST_F(Plugin, TwelveReadersOfOneImageAllGetItsBytes) {
  const auto server = serve();
  std::vector<std::jthread> readers;
  readers.reserve(12);
  for (int i = 0; i < 12; ++i) {
    readers.emplace_back([&, i] {
      const std::string copy = file(fmt::format("copy{}", i));
      run(fmt::format("nbdcopy --connections=1 '{}' {} && cmp {} {}", server->uri(one_), copy, file("one"), copy));
    });
  }
}

}  // namespace
}  // namespace atelier::image
