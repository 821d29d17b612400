#include "atelier/byte_ranges.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace atelier::cli {
namespace {

constexpr std::uint64_t kBlock = 64 << 10;

TEST(ByteRanges, WhatIsKnownIsTakenOut) {
  const std::vector<ByteRange> known = {{0, 10}, {20, 30}, {95, 200}};
  EXPECT_EQ(without({{5, 25}, {28, 40}, {90, 100}, {120, 130}}, known),
            (std::vector<ByteRange>{{10, 20}, {30, 40}, {90, 95}}));
  EXPECT_EQ(without({{5, 25}}, {}), (std::vector<ByteRange>{{5, 25}}));
}

TEST(ByteRanges, ReadsPageLists) {
  const auto ranges = parse_page_list(
      "<?xml version=\"1.0\"?><PageList>\n<PageRange><Start>512</Start><End>1023</End></PageRange>"
      "<PageRange><Start>0</Start><End>0</End></PageRange></PageList>");
  ASSERT_TRUE(ranges.has_value());
  EXPECT_EQ(*ranges, (std::vector<ByteRange>{{0, 1}, {512, 1024}}));
  EXPECT_TRUE(parse_page_list("<PageList/>")->empty());
  for (const char* damaged :
       {"<PageRange><Start>5</Start><End>1</End></PageRange>", "<PageRange><Start>x</Start><End>1</End></PageRange>",
        "<PageRange></PageRange>", "<PageRange><Start>1</Start>"}) {
    EXPECT_FALSE(parse_page_list(damaged).has_value()) << damaged;
  }
}

TEST(ByteRanges, FindsTheDataOfASparseFile) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const int descriptor = ::fileno(file);
  ASSERT_EQ(::ftruncate(descriptor, 40 << 20), 0);
  const auto write_at = [&](std::uint64_t offset) {
    ASSERT_EQ(::pwrite(descriptor, "x", 1, static_cast<off_t>(offset)), 1);
  };
  write_at(5);
  write_at(3 * kBlock);     // near the first: one range with it
  write_at((8 << 20) - 1);  // far away
  EXPECT_EQ(data_ranges(descriptor, {0, 8 << 20}).value(),
            (std::vector<ByteRange>{{0, 4 * kBlock}, {(8 << 20) - kBlock, 8 << 20}}));
  EXPECT_TRUE(data_ranges(descriptor, {10 << 20, 12 << 20})->empty());
  EXPECT_FALSE(data_ranges(descriptor, {39 << 20, 41 << 20}).has_value());
  write_at(30 << 20);
  const std::uint64_t found = next_data(descriptor, 16 << 20, 40 << 20);
  EXPECT_LE(found, std::uint64_t{30} << 20);
  std::fclose(file);
}

}  // namespace
}  // namespace atelier::cli
