#include "base/text.h"

#include <gtest/gtest.h>

#include <array>

namespace atelier {
namespace {

TEST(Text, Rfc3339SurvivesARoundTripAndReadsOffsets) {
  const TimePoint time = parse_rfc3339("2026-07-02T09:30:00.5+09:00").value();
  EXPECT_EQ(to_rfc3339(time), "2026-07-02T00:30:00.500Z");
  EXPECT_EQ(parse_rfc3339(to_rfc3339(time)).value(), time);
}

TEST(Text, Rfc3339RefusesWhatIsNoTime) {
  for (const char* text : {"", "2026-07-02", "2026-13-02T00:00:00Z", "2026-07-02T00:00:00", "2026-07-02T25:00:00Z",
                           "2026-07-02T00:00:00.Z", "2026-07-02T00:00:00+9", "2026-02-30T00:00:00Z"}) {
    EXPECT_FALSE(parse_rfc3339(text).has_value()) << text;
  }
}

TEST(Text, UuidsAreVersionFourAndDiffer) {
  const std::string uuid = new_uuid();
  ASSERT_EQ(uuid.size(), 36u);
  EXPECT_EQ(uuid[14], '4');
  EXPECT_NE(uuid, new_uuid());
}

TEST(Text, HexRefusesWrongLengthAndDigits) {
  std::array<std::uint8_t, 2> bytes{};
  EXPECT_TRUE(from_hex("a0fF", bytes).has_value());
  EXPECT_EQ(to_hex(bytes), "a0ff");
  EXPECT_FALSE(from_hex("a0f", bytes).has_value());
  EXPECT_FALSE(from_hex("a0fg", bytes).has_value());
}

TEST(Text, NumbersMustBeWholeAndFit) {
  EXPECT_EQ(parse_uint64("18446744073709551615").value(), 18446744073709551615u);
  for (const char* text : {"", "-1", "1 ", "0x10", "18446744073709551616"}) {
    EXPECT_FALSE(parse_uint64(text).has_value()) << text;
  }
}

TEST(Text, BytesForPeople) {
  EXPECT_EQ(to_human_bytes(512), "512 B");
  EXPECT_EQ(to_human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(to_human_bytes(std::uint64_t{40} << 30), "40.0 GiB");
}

}  // namespace
}  // namespace atelier
