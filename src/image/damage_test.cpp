// Wrong bytes on the disk: named by verify, never handed out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "image/directory_bucket.h"
#include "image/heal.h"
#include "image/image_record.h"
#include "image/index.h"
#include "image/pack.h"
#include "image/store_test_parts.h"
#include "image/sweep.h"
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

// ---- A store of a thousand chunks, with a second store that has the same images

class HealTest : public testing::Test {
 protected:
  static constexpr StoreOptions kOptions{.pack_bytes_max = 96u << 10};

  void SetUp() override {
    Random random(71);
    for (std::size_t i = 0; i < 2; ++i) {
      // Small files, and a few of several grains.
      Disk disk;
      for (int file = 0; file < 520; ++file) {
        Disk bytes = random_file(random, 1 + random_below(random, file % 50 == 0 ? 30000 : 4000));
        bytes.resize((bytes.size() + 4095) / 4096 * 4096);
        disk.insert(disk.end(), bytes.begin(), bytes.end());
      }
      disks_.push_back(std::move(disk));
    }
    for (const char* const name : {"store", "other"}) {
      const auto store = create_directory_store(folder_.path() / name, kOptions).value();
      for (const Disk& disk : disks_) roots_.insert(write_disk(*store, disk, "label").value().root);
    }
    other_ = open_directory_store(folder_.path() / "other", Access::kReadOnly).value();
    store_ = open_directory_store(path(), Access::kReadWrite, kOptions).value();
    ASSERT_GE(store_stats(*store_).value().chunks, 1000u);
    ASSERT_EQ(roots_.size(), 2u);
  }
  std::filesystem::path path() const { return folder_.path() / "store"; }

  VerifyReport verify(std::vector<Store*> sources = {}) {
    TaskContext task;
    const auto report = verify_store(*store_, {.threads = 1, .heal_from = std::move(sources)}, task);
    EXPECT_OK(report);
    return report.value_or(VerifyReport{});
  }
  // Opened anew, so that nothing is read from files that were open before.
  void reopen() {
    store_.reset();
    store_ = open_directory_store(path(), Access::kReadWrite, kOptions).value();
  }
  bool names(const VerifyReport& report, const std::string& object) {
    return std::ranges::any_of(report.problems, [&](const Problem& p) { return p.object == object; });
  }
  // Never wrong bytes; gives how many images cannot be read whole.
  int count_unreadable() {
    int unreadable = 0;
    for (const Digest& root : roots_) {
      const auto read = read_disk(*store_, root);
      if (read) {
        EXPECT_TRUE(std::ranges::find(disks_, *read) != disks_.end());
        continue;
      }
      EXPECT_EQ(read.error().code(), Code::kDataLoss);
      ++unreadable;
    }
    return unreadable;
  }
  void expect_healed_by_the_other(const std::vector<std::string>& objects) {
    const VerifyReport report = verify({other_.get()});
    EXPECT_TRUE(report.clean()) << report.problems[0].object << ": " << report.problems[0].what;
    for (const std::string& object : objects) {
      EXPECT_TRUE(std::ranges::any_of(report.healed, [&](const Problem& p) { return p.object == object; })) << object;
    }
    EXPECT_EQ(count_unreadable(), 0);
  }
  void sweep_all() {
    TaskContext task;
    const SweepOptions options{.brake = SweepOptions::Brake::kOff, .purge_after = {}};
    for (int i = 0; i < 2; ++i) EXPECT_OK(sweep_store(*store_, options, task));
  }

  TestFolder folder_;
  std::vector<Disk> disks_;
  std::set<Digest> roots_;
  std::unique_ptr<Store> other_, store_;
};

using Damage = void (*)(const std::filesystem::path& file, Random& random);

TEST_F(HealTest, EveryPackAndRecordDamagedInTurnIsFoundAndHealed) {
  const std::vector<std::pair<const char*, Damage>> damages{
      {"flipped",
       [](const std::filesystem::path& file, Random& random) {
         flip_bit(file, random_below(random, std::filesystem::file_size(file)),
                  static_cast<unsigned>(random_below(random, 8)));
       }},
      {"cut",
       [](const std::filesystem::path& file, Random& random) {
         std::filesystem::resize_file(file, random_below(random, std::filesystem::file_size(file)));
       }},
      {"zeroed",
       [](const std::filesystem::path& file, Random&) {
         const auto bytes = std::filesystem::file_size(file);
         std::filesystem::resize_file(file, 0);
         std::filesystem::resize_file(file, bytes);
       }},
      {"lost", [](const std::filesystem::path& file, Random&) { std::filesystem::remove(file); }},
  };
  Random random(72);
  for (const auto& [name, damage] : damages) {
    for (const char* const prefix : {"packs/", "images/"}) {
      if (name == std::string("lost") && prefix == std::string("images/")) continue;  // that is a removed image
      for (const BucketEntry& entry : taken(store_->bucket().list(prefix))) {
        SCOPED_TRACE(fmt::format("{} {}", entry.name, name));
        damage(path() / entry.name, random);
        reopen();  // the index is kept, as it is when a disk rots under a running service
        const bool named = names(verify(), entry.name);
        EXPECT_TRUE(named || name == std::string("lost"));
        count_unreadable();
        const VerifyReport healed = verify({other_.get()});
        EXPECT_TRUE(healed.clean());
        EXPECT_EQ(count_unreadable(), 0);
      }
    }
    sweep_all();
    EXPECT_TRUE(verify().clean());
  }
  EXPECT_EQ(list_images(*store_).value().size(), 2u);
}

TEST_F(HealTest, SwappedObjectsAreFoundAndHealed) {
  const auto swap = [&](const std::string& a, const std::string& b) {
    std::filesystem::rename(path() / a, folder_.path() / "aside");
    std::filesystem::rename(path() / b, path() / a);
    std::filesystem::rename(folder_.path() / "aside", path() / b);
    reopen();
  };
  const auto packs = store_->bucket().list("packs/").value();
  for (std::size_t i = 0; i + 1 < packs.size(); i += 2) {
    swap(packs[i].name, packs[i + 1].name);
    const VerifyReport found = verify();
    EXPECT_TRUE(names(found, packs[i].name));
    EXPECT_TRUE(names(found, packs[i + 1].name));
    EXPECT_GT(count_unreadable(), 0);
    // What is good in them is used first: nothing has to come from elsewhere.
    const VerifyReport healed = verify({other_.get()});
    EXPECT_TRUE(healed.clean());
    EXPECT_EQ(healed.chunks_healed, 0u);
    EXPECT_EQ(count_unreadable(), 0);
  }
  const auto images = store_->bucket().list("images/").value();
  swap(images[0].name, images[1].name);
  EXPECT_TRUE(names(verify(), images[0].name));
  expect_healed_by_the_other({images[0].name, images[1].name});
}

// I5: and what no store has is named, with every image that needs it.
TEST_F(HealTest, NamesTheImagesThatNeedWhatIsInNoStore) {
  // A chunk that both images have.
  Disk shared = disks_[0];
  std::ranges::copy(std::span(disks_[1]).first(4096), shared.begin());
  const Digest third = write_disk(*store_, shared).value().root;
  const Digest chunk = [&] {
    std::set<Digest> seen;
    const Root root = read_root(*store_, third).value();
    const auto ids = read_segment(*store_, root.segments[0], segment_bytes(root.disk_bytes, 0)).value();
    return ids.entries[5].chunk;
  }();
  const auto location = store_->index().find(chunk).value().value();
  flip_bit(path() / pack_name(location.pack), location.offset, 0);
  reopen();
  const VerifyReport found = verify();
  EXPECT_TRUE(names(found, pack_name(location.pack)));
  EXPECT_TRUE(names(found, image_name(third)));
  EXPECT_GE(found.problem_count, 4u);  // the file's digest, its chunk, and two images
  const auto empty = create_directory_store(folder_.path() / "empty").value();
  const VerifyReport still = verify({empty.get()});
  EXPECT_TRUE(names(still, pack_name(location.pack)));
  EXPECT_TRUE(names(still, image_name(third)));
  EXPECT_EQ(read_disk(*store_, third).error().code(), Code::kDataLoss);
  expect_healed_by_the_other({pack_name(location.pack)});
  EXPECT_EQ(read_disk(*store_, third).value(), shared);
}

// I4: a reader that meets a bad chunk gets it from elsewhere, and the store has it again.
TEST_F(HealTest, AReadIsHealedFromAnotherStore) {
  const Digest root = *roots_.begin();
  const auto location = store_->index().find(root).value().value();
  flip_bit(path() / pack_name(location.pack), location.offset, 0);
  reopen();
  EXPECT_EQ(store_->read_chunk(root).error().code(), Code::kDataLoss);
  const auto bytes = heal_chunk(*store_, *other_, root);
  ASSERT_OK(bytes);
  EXPECT_EQ(sha256(*bytes), root);
  EXPECT_EQ(store_->read_chunk(root).value(), *bytes);
  EXPECT_EQ(heal_chunk(*store_, *other_, sha256({})).error().code(), Code::kDataLoss);
}

// A writer that stores a damaged pack's chunks again gives them another pack.
TEST_F(HealTest, AWriterDoesNotTakeADamagedFileForItsPack) {
  for (const BucketEntry& entry : taken(store_->bucket().list("packs/"))) {
    flip_bit(path() / entry.name, entry.size_bytes - 1, 0);
  }
  store_.reset();
  std::filesystem::remove_all(path() / "index");
  reopen();
  for (const Disk& disk : disks_) EXPECT_OK(write_disk(*store_, disk));
  EXPECT_EQ(count_unreadable(), 0);
}

// I1: all subsets together read each pack once, whatever was added in between.
TEST_F(HealTest, SubsetsCoverEveryPackOnce) {
  TaskContext task;
  const VerifyReport all = verify();
  for (const std::uint64_t subsets : {2u, 7u}) {
    VerifyReport sum;
    for (std::uint64_t k = 0; k < subsets; ++k) {
      const auto part = verify_store(*store_, {.subset = k, .subsets = subsets}, task).value();
      EXPECT_TRUE(part.clean());
      EXPECT_LT(part.packs, all.packs);
      sum.packs += part.packs;
      sum.chunks += part.chunks;
      sum.pack_bytes += part.pack_bytes;
    }
    EXPECT_EQ(sum.packs, all.packs);
    EXPECT_EQ(sum.chunks, all.chunks);
    EXPECT_EQ(sum.pack_bytes, all.pack_bytes);
  }
  const auto pack = store_->bucket().list("packs/").value()[3];
  flip_bit(path() / pack.name, 100, 0);
  reopen();
  int found = 0;
  for (std::uint64_t k = 0; k < 7; ++k) {
    found += names(verify_store(*store_, {.subset = k, .subsets = 7}, task).value(), pack.name) ? 1 : 0;
  }
  EXPECT_EQ(found, 1);
  EXPECT_EQ(verify_store(*store_, {.subset = 2, .subsets = 2}, task).error().code(), Code::kInvalidArgument);
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
