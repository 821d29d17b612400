// `atelier store` as people run it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/disk_server_test_parts.h"

namespace atelier::cli {
namespace {

namespace fs = std::filesystem;
using image::Outcome;
using image::run;
using image::TempDir;
using image::try_run;

class StoreCommand : public testing::Test {
 protected:
  void SetUp() override {
    run(
        fmt::format("truncate -s 80M {0} && mke2fs -q -F -t ext4 {0} && "
                    "dd if=/dev/urandom of={0} bs=64k seek=500 count=30 conv=notrunc status=none",
                    file("disk.raw")));
    atelier("init " + store());
  }

  std::string file(const std::string& name) const { return dir_.file(name); }
  std::string store() const { return file("store"); }
  static std::string atelier(const std::string& arguments) { return run(ATELIER_PROGRAM " store " + arguments); }
  static Outcome try_atelier(const std::string& arguments) { return try_run(ATELIER_PROGRAM " store " + arguments); }

  static std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

  const TempDir dir_;
};

TEST_F(StoreCommand, PutPrintsTheRootAndGetGivesTheVeryFile) {
  const std::string root = first_line(atelier("put " + store() + " " + file("disk.raw")));
  EXPECT_EQ(root.size(), 64U) << root;
  EXPECT_EQ(root.find_first_not_of("0123456789abcdef"), std::string::npos) << root;
  atelier(fmt::format("get {} {} {}", store(), root, file("out.raw")));
  run(fmt::format("cmp {} {}", file("disk.raw"), file("out.raw")));
  EXPECT_LT(std::stoul(run("du -k " + file("out.raw"))), 20U << 10) << "it is sparse";
}

TEST_F(StoreCommand, AQcow2GivesTheRootOfItsDisk) {
  run(fmt::format("qemu-img convert -f raw -O qcow2 {} {}", file("disk.raw"), file("disk.qcow2")));
  run(fmt::format("qemu-img convert -c -f raw -O qcow2 {} {}", file("disk.raw"), file("packed.qcow2")));
  const std::string raw = atelier("put " + store() + " " + file("disk.raw"));
  EXPECT_EQ(atelier("put " + store() + " " + file("disk.qcow2")), raw);
  EXPECT_EQ(atelier("put " + store() + " " + file("packed.qcow2")), raw);
}

TEST_F(StoreCommand, CaptureStoresWhatAServerOffersAndReadsOnlyWhatChanged) {
  const std::string parent = first_line(atelier("put " + store() + " " + file("disk.raw")));
  run(fmt::format("qemu-img create -q -f qcow2 -F raw -b {} {}", file("disk.raw"), file("top")));
  run("qemu-io -f qcow2 -c 'write -P 9 33M 4k' " + file("top"));
  const image::DiskServer server(image::qemu_nbd(file("top"), file("socket")), file("socket"));
  const auto capture =
      parse_json_object(atelier(fmt::format("capture -o json --parent {} {} '{}'", parent, store(), server.uri())));
  ASSERT_TRUE(capture.has_value());
  EXPECT_NE(string_at(*capture, "root"), parent);
  EXPECT_GT(uint_at(*capture, "bytesRead"), 0U);
  EXPECT_LT(uint_at(*capture, "bytesRead"), uint_at(*capture, "dataBytes"));
  EXPECT_EQ(first_line(atelier(fmt::format("capture {} '{}'", store(), server.uri()))), string_at(*capture, "root"));
  EXPECT_EQ(try_atelier(fmt::format("capture --parent x {} '{}'", store(), server.uri())).exit_code, 2);
}

TEST_F(StoreCommand, SpeaksJsonWhereverTheOptionStands) {
  const auto put = parse_json_object(atelier("put -o json --label mine " + store() + " " + file("disk.raw")));
  ASSERT_TRUE(put.has_value());
  EXPECT_EQ(uint_at(*put, "diskBytes"), 80U << 20);
  EXPECT_EQ(string_at(*put, "label"), "mine");
  EXPECT_EQ(string_at(*put, "format"), "raw");
  const auto list = parse_json(run(fmt::format(ATELIER_PROGRAM " --output json store list {}", store())));
  ASSERT_TRUE(list.has_value());
  ASSERT_EQ(list->as_array().size(), 1U);
  EXPECT_EQ(string_at(list->as_array()[0].as_object(), "root"), string_at(*put, "root"));
  const auto verify = parse_json_object(atelier("verify --output json " + store()));
  ASSERT_TRUE(verify.has_value());
  EXPECT_TRUE(bool_at(*verify, "clean"));
  EXPECT_EQ(uint_at(*verify, "images"), 1U);
  const auto stats = parse_json_object(atelier("stats --output json " + store()));
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(uint_at(*stats, "images"), 1U);
  EXPECT_EQ(uint_at(*stats, "diskBytes"), 80U << 20);
  EXPECT_GT(uint_at(*stats, "chunks"), 0U);
}

TEST_F(StoreCommand, ListAndStatsAreTablesForPeople) {
  EXPECT_EQ(first_line(atelier("list " + store())).substr(0, 4), "ROOT");
  const std::string root = first_line(atelier("put " + store() + " " + file("disk.raw")));
  const std::string list = atelier("list " + store());
  EXPECT_NE(list.find(root), std::string::npos) << list;
  EXPECT_NE(list.find("80.0 MiB"), std::string::npos) << list;
  EXPECT_NE(atelier("stats " + store()).find("80.0 MiB"), std::string::npos);
  EXPECT_NE(atelier("verify " + store()).find("0 problems"), std::string::npos);
}

TEST_F(StoreCommand, CopySendsAnImageOnceAndItReadsBackThere) {
  const std::string root = first_line(atelier("put " + store() + " " + file("disk.raw")));
  const std::string other = file("other");
  atelier("init " + other);
  const auto first = parse_json_object(atelier(fmt::format("copy {} {} {} -o json", store(), other, root)));
  ASSERT_TRUE(first.has_value());
  EXPECT_GT(uint_at(*first, "bytesSent"), 30U * 65536U) << "the random bytes do not shrink";
  const auto again = parse_json_object(atelier(fmt::format("copy {} {} {} -o json", store(), other, root)));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(uint_at(*again, "bytesSent"), 0U);
  atelier(fmt::format("get {} {} {}", other, root, file("out.raw")));
  run(fmt::format("cmp {} {}", file("disk.raw"), file("out.raw")));
}

TEST_F(StoreCommand, WhatIsNoDiskIsRefusedAndLeavesNothing) {
  std::ofstream(file("text")) << "hello";
  run("qemu-img create -q -f qcow2 -F raw -b " + file("disk.raw") + " " + file("overlay.qcow2"));
  run("qemu-img create -q -f qcow2 -o data_file=" + file("data") + " " + file("split.qcow2") + " 1M");
  run("qemu-img create -q -f vmdk -o subformat=monolithicFlat " + file("disk.vmdk") + " 1M");
  for (const std::string name : {"text", "overlay.qcow2", "split.qcow2", "disk.vmdk"}) {
    const Outcome outcome = try_atelier("put " + store() + " " + file(name));
    EXPECT_EQ(outcome.exit_code, 2) << name << ": " << outcome.output;
    EXPECT_EQ(outcome.output.substr(0, 9), "atelier: ") << outcome.output;
  }
  EXPECT_EQ(atelier("list --output json " + store()), "[]\n");
}

TEST_F(StoreCommand, ExitCodesTellWhatWentWrong) {
  const std::string unknown(64, 'a');
  EXPECT_EQ(try_atelier("").exit_code, 2);
  EXPECT_EQ(try_atelier("put " + store()).exit_code, 2);
  EXPECT_EQ(try_atelier("frobnicate " + store()).exit_code, 2);
  EXPECT_EQ(try_atelier("list --output xml " + store()).exit_code, 2);
  EXPECT_EQ(try_atelier(fmt::format("get {} zzz {}", store(), file("out"))).exit_code, 2);
  EXPECT_EQ(try_atelier(fmt::format("get {} {} {}", store(), unknown, file("out"))).exit_code, 3);
  EXPECT_EQ(try_atelier("list " + file("none")).exit_code, 3);
  EXPECT_EQ(try_atelier("put " + store() + " " + file("none")).exit_code, 3);
  EXPECT_EQ(try_atelier("init " + store()).exit_code, 4) << "there is one already";
  EXPECT_EQ(try_atelier("--help").exit_code, 0);
  EXPECT_FALSE(fs::exists(file("out")));
}

TEST_F(StoreCommand, RemovesSweepsAndBringsBack) {
  const std::string root = first_line(atelier("put " + store() + " " + file("disk.raw")));
  EXPECT_EQ(try_atelier(fmt::format("remove {} {}", store(), std::string(64, 'a'))).exit_code, 3);
  atelier(fmt::format("remove {} {}", store(), root));
  EXPECT_EQ(atelier("list --output json " + store()), "[]\n");
  EXPECT_NE(atelier("list --removed " + store()).find(root), std::string::npos);
  EXPECT_NE(atelier("gc --dry-run " + store()).find("1 removed ones"), std::string::npos);
  atelier(fmt::format("undelete {} {}", store(), root));
  atelier(fmt::format("get {} {} {}", store(), root, file("out.raw")));
  run(fmt::format("cmp {} {}", file("disk.raw"), file("out.raw")));

  atelier(fmt::format("remove {} {}", store(), root));
  const Outcome braked = try_atelier("gc --keep-removed 0 " + store());
  EXPECT_EQ(braked.exit_code, 4) << braked.output;
  const auto plan = parse_json_object(atelier("gc -o json --dry-run --keep-removed 0 " + store()));
  const auto swept = parse_json_object(atelier("gc -o json --force --keep-removed 0 " + store()));
  ASSERT_TRUE(plan && swept);
  EXPECT_GT(swept->at("dead").as_array().size(), 0U);
  EXPECT_EQ(plan->at("dead"), swept->at("dead"));
  EXPECT_NE(atelier("fsck " + store()).find("0 problems"), std::string::npos);
  EXPECT_EQ(try_atelier(fmt::format("undelete {} {}", store(), root)).exit_code, 3);
  const auto purged = parse_json_object(atelier("gc -o json --purge-after 0 " + store()));
  EXPECT_EQ(purged->at("purged"), swept->at("dead"));
  EXPECT_EQ(atelier("index rebuild " + store()), "The index was made again from 0 packs\n");
}

TEST_F(StoreCommand, VerifyHealsFromAnotherStoreAndTakesSubsets) {
  atelier("put " + store() + " " + file("disk.raw"));
  atelier("init " + file("other"));
  atelier("put " + file("other") + " " + file("disk.raw"));
  run(fmt::format("for pack in {}/packs/*/*; do printf x | dd of=$pack bs=1 seek=100 conv=notrunc status=none; done",
                  store()));
  EXPECT_EQ(try_atelier("verify " + store()).exit_code, 1);
  const std::string healed = atelier(fmt::format("verify {} --heal-from {}", store(), file("other")));
  EXPECT_NE(healed.find("healed"), std::string::npos) << healed;
  for (const int share : {1, 2, 3}) atelier(fmt::format("verify {} --subset {}/3", store(), share));
  for (const std::string bad : {"0/3", "4/3", "1", "a/b"}) {
    EXPECT_EQ(try_atelier(fmt::format("verify {} --subset {}", store(), bad)).exit_code, 2) << bad;
  }
}

TEST_F(StoreCommand, VerifyFailsAndNamesADamagedPack) {
  atelier("put " + store() + " " + file("disk.raw"));
  fs::path pack;
  for (const auto& entry : fs::recursive_directory_iterator(store() + "/packs")) {
    if (entry.is_regular_file()) pack = entry.path();
  }
  ASSERT_FALSE(pack.empty());
  {
    std::fstream bytes(pack, std::ios::binary | std::ios::in | std::ios::out);
    const auto middle = static_cast<std::streamoff>(fs::file_size(pack) / 2);
    bytes.seekg(middle);
    const int byte = bytes.get();
    bytes.seekp(middle);
    bytes.put(static_cast<char>(byte ^ 0xff));
  }
  const Outcome outcome = try_atelier("verify " + store());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.output.find(pack.filename().string()), std::string::npos) << outcome.output;
}

}  // namespace
}  // namespace atelier::cli
