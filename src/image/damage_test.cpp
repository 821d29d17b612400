// Wrong bytes on the disk: named by verify, never handed out.
#include <gtest/gtest.h>

#include "image/directory_bucket.h"
#include "image/image_record.h"
#include "image/pack.h"
#include "image/store_test_parts.h"
#include "image/tree.h"
#include "image/verify.h"

namespace atelier::image {
namespace {

class DamageTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto store = create_directory_store(path(), {.pack_bytes_max = kSmallPacks});
    ASSERT_OK(store);
    root_ = write_disk(**store, disk_).value().root;
    packs_ = (*store)->bucket().list("packs/").value();
    ASSERT_GE(packs_.size(), 2u);
  }
  std::filesystem::path path() const { return folder_.path() / "store"; }

  // What is wrong is named, the rest is read, and a reader gets the disk or an error.
  void expect_detected(const std::string& object) {
    const auto store = open_directory_store(path(), Access::kReadOnly);
    ASSERT_OK(store);
    TaskContext task;
    const auto report = verify_store(**store, {}, task);
    ASSERT_OK(report);
    EXPECT_TRUE(std::ranges::any_of(report->problems, [&](const Problem& p) { return p.object == object; })) << object;
    EXPECT_EQ(report->images, 1u);
    const auto read = read_disk(**store, root_);
    if (read) {
      EXPECT_EQ(*read, disk_);
    }
    if (!read) {
      EXPECT_EQ(read.error().code(), Code::kDataLoss);
    }
  }

  TestFolder folder_;
  const Disk disk_ = random_disk(31, 2u << 20);
  Digest root_;
  std::vector<BucketEntry> packs_;
};

TEST_F(DamageTest, AFlippedBitInAnyPartOfAPackIsFound) {
  Random random(1);
  for (const BucketEntry& pack : packs_) {
    // Each chunk and footer entry of the pack, its head and its tail.
    const Disk file = file_bytes(path() / pack.name);
    const auto entries = parse_pack(file).value();
    std::vector<std::uint64_t> places{0, 7, file.size() - 1, file.size() - 10, file.size() - 20, file.size() - 24};
    const std::uint64_t footer = file.size() - 24 - entries.size() * 56;
    for (std::size_t i = 0; i < entries.size(); i += 1 + entries.size() / 8) {
      places.push_back(entries[i].offset + random_below(random, entries[i].stored_bytes));
      places.push_back(footer + i * 56 + random_below(random, 56));
    }
    for (const std::uint64_t place : places) {
      SCOPED_TRACE(pack.name + " at " + std::to_string(place));
      const auto bit = static_cast<unsigned>(random_below(random, 8));
      flip_bit(path() / pack.name, place, bit);
      expect_detected(pack.name);
      flip_bit(path() / pack.name, place, bit);
    }
  }
  const auto store = open_directory_store(path(), Access::kReadOnly).value();
  TaskContext task;
  EXPECT_TRUE(verify_store(*store, {}, task).value().clean());
}

TEST_F(DamageTest, ACutASwappedAndAMissingPackAreFound) {
  const auto first = path() / packs_[0].name;
  const auto second = path() / packs_[1].name;
  const auto aside = folder_.path() / "aside";
  std::filesystem::copy_file(first, aside);
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{20}, packs_[0].size_bytes / 2}) {
    std::filesystem::resize_file(first, bytes);
    expect_detected(packs_[0].name);
    std::filesystem::copy_file(aside, first, std::filesystem::copy_options::overwrite_existing);
  }
  std::filesystem::rename(second, first);
  std::filesystem::copy_file(aside, second);
  expect_detected(packs_[0].name);
  expect_detected(packs_[1].name);
  std::filesystem::remove(first);
  expect_detected("images/" + root_.hex());
}

TEST_F(DamageTest, ADamagedRecordIsNamedAndHidesNoOtherImage) {
  const auto file = path() / "images" / root_.hex();
  const std::uint64_t bytes = std::filesystem::file_size(file);
  for (std::uint64_t place = 0; place < bytes; place += 7) {
    SCOPED_TRACE(place);
    flip_bit(file, place, 0);
    const auto store = open_directory_store(path(), Access::kReadOnly).value();
    EXPECT_EQ(find_image(*store, root_).error().code(), Code::kDataLoss);
    EXPECT_TRUE(list_images(*store).value().empty());
    expect_detected("images/" + root_.hex());
    flip_bit(file, place, 0);
  }
  std::ofstream(path() / "images" / "stray") << "x";
  const auto store = open_directory_store(path(), Access::kReadOnly).value();
  EXPECT_EQ(list_images(*store).value().size(), 1u);
}

// Whatever bytes come as a segment, root, footer or record: an error or a value, nothing else.
TEST(Decoding, SurvivesHostileBytes) {
  Segment segment;
  segment.add_hole(4096);
  segment.add_chunk(sha256({}), 8192);
  segment.add_hole(100);
  const auto good_segment = encode_segment(segment);
  EXPECT_EQ(decode_segment(good_segment).value().entries, segment.entries);
  const Root root{.disk_bytes = kSegmentBytes + 1, .segments = {sha256({}), Digest{}}};
  const auto good_root = encode_root(root);
  EXPECT_EQ(decode_root(good_root).value().segments, root.segments);
  PackBuilder builder(1u << 20);
  const Disk chunk(100, std::byte{3});
  builder.add(sha256(chunk), Codec::kRaw, 100, chunk);
  builder.seal();
  const Disk good_pack(builder.bytes().begin(), builder.bytes().end());
  EXPECT_EQ(parse_pack(good_pack).value().size(), 1u);
  Random random(5);
  for (int i = 0; i < 20000; ++i) {
    for (const Disk& good : {good_segment, good_root, good_pack}) {
      Disk bad = good;
      bad[random_below(random, bad.size())] = static_cast<std::byte>(random());
      if (random_below(random, 3) == 0) bad.resize(random_below(random, bad.size() + 40));
      const auto as_segment = decode_segment(bad);
      if (as_segment) {
        EXPECT_EQ(encode_segment(*as_segment), bad);
      }
      const auto as_root = decode_root(bad);
      if (as_root) {
        EXPECT_EQ(encode_root(*as_root), bad);
      }
      const auto as_pack = parse_pack(bad);
      EXPECT_TRUE(as_pack.has_value() || bad != good_pack);
      for (const PackEntry& entry : as_pack.value_or(std::vector<PackEntry>{})) {
        EXPECT_LE(std::uint64_t{entry.offset} + entry.stored_bytes, bad.size());
      }
    }
  }
}

TEST(Decoding, RefusesAChunkThatIsNotItsId) {
  const Disk plain(5000, std::byte{9});
  const StoredChunk chunk = encode_chunk(plain);
  EXPECT_EQ(chunk.codec, Codec::kZstd);
  EXPECT_EQ(decode_chunk(chunk.id, chunk.codec, 5000, chunk.bytes).value(), plain);
  EXPECT_FALSE(decode_chunk(sha256({}), chunk.codec, 5000, chunk.bytes).has_value());
  EXPECT_FALSE(decode_chunk(chunk.id, chunk.codec, 4999, chunk.bytes).has_value());
  EXPECT_FALSE(decode_chunk(chunk.id, Codec::kRaw, 5000, chunk.bytes).has_value());
  EXPECT_FALSE(decode_chunk(chunk.id, static_cast<Codec>(7), 5000, chunk.bytes).has_value());
  EXPECT_FALSE(decode_chunk(chunk.id, chunk.codec, 0xffffffffu, chunk.bytes).has_value());
}

}  // namespace
}  // namespace atelier::image
