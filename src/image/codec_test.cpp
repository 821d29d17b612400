#include "image/codec.h"

#include <gtest/gtest.h>

#include <vector>

#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

constexpr std::byte kUnset{0xa5};

// Chunks of many lengths, both codecs, and room to decode them into.
struct Batch {
  explicit Batch(std::uint64_t seed, std::size_t count) {
    Random random(seed);
    for (std::size_t i = 0; i < count; ++i) {
      plain.push_back(random_file(random, 1 + random_below(random, 1 + random_below(random, 90000))));
      stored.push_back(encode_chunk(plain.back()));
      room.emplace_back(plain.back().size(), kUnset);
    }
    for (std::size_t i = 0; i < count; ++i) {
      chunks.push_back(
          {.id = stored[i].id, .codec = stored[i].codec, .stored = stored[i].bytes, .plain = std::span(room[i])});
    }
  }

  std::vector<Disk> plain;
  std::vector<StoredChunk> stored;
  std::vector<Disk> room;
  std::vector<ChunkToDecode> chunks;
};

TEST(CodecTest, DecodesManyChunksIntoTheCallersMemory) {
  Batch batch(30, 120);
  std::vector<bool> wrong;
  EXPECT_EQ(decode_chunks(batch.chunks, wrong), 0u);
  EXPECT_EQ(wrong, std::vector<bool>(120, false));
  EXPECT_EQ(batch.room, batch.plain);
  EXPECT_EQ(decode_chunks({}, wrong), 0u);
  EXPECT_TRUE(wrong.empty());
}

TEST(CodecTest, NamesEachWrongChunkAndHandsNoneOfItsBytesOut) {
  Batch batch(31, 60);
  Random random(31);
  std::vector<bool> expected(60, false);
  for (std::size_t i = 0; i < 60; i += 1 + random_below(random, 6)) {
    expected[i] = true;
    switch (random_below(random, 4)) {
      case 0:
        batch.chunks[i].id.bytes[7] ^= 1;
        break;
      case 1:
        batch.stored[i].bytes[random_below(random, batch.stored[i].bytes.size())] ^= std::byte{4};
        break;
      case 2:
        batch.chunks[i].stored = batch.chunks[i].stored.first(batch.chunks[i].stored.size() - 1);
        break;
      default:
        batch.chunks[i].codec = static_cast<Codec>(9);
    }
  }
  std::vector<bool> wrong;
  const std::size_t count = decode_chunks(batch.chunks, wrong);
  EXPECT_EQ(count, static_cast<std::size_t>(std::ranges::count(expected, true)));
  EXPECT_EQ(wrong, expected);
  for (std::size_t i = 0; i < 60; ++i) {
    EXPECT_EQ(batch.room[i], expected[i] ? Disk(batch.room[i].size()) : batch.plain[i]) << i;
    const Status alone = decode_chunk_into(batch.chunks[i]);
    EXPECT_EQ(alone.has_value(), !expected[i]) << i;
    EXPECT_EQ(batch.room[i], expected[i] ? Disk(batch.room[i].size()) : batch.plain[i]) << i;
  }
}

TEST(CodecTest, DecodesNeitherNothingNorTooMuch) {
  const StoredChunk empty = encode_chunk({});
  EXPECT_FALSE(decode_chunk_into({.id = empty.id, .codec = empty.codec, .stored = empty.bytes, .plain = {}}));
  Batch batch(32, 1);
  Disk longer(batch.plain[0].size() + 1, kUnset);
  batch.chunks[0].plain = longer;
  EXPECT_EQ(decode_chunk_into(batch.chunks[0]).error().code(), Code::kDataLoss);
  EXPECT_EQ(longer, Disk(longer.size()));
}

}  // namespace
}  // namespace atelier::image
