#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace atelier {
namespace {

Result<std::unique_ptr<int>> half(int value) {
  if (value % 2 != 0) return fail(Code::kInvalidArgument, "odd");
  return std::make_unique<int>(value / 2);
}

Result<int> quarter(int value) {
  const auto first = TRY_DURING(half(value), "halve once");
  const auto second = TRY(half(*first));
  return *second;
}

TEST(Error, TryGivesMoveOnlyValuesAndStopsAtTheFirstFailure) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().message(), "odd");
  EXPECT_EQ(quarter(7).error().message(), "halve once: odd");
}

TEST(Error, DuringKeepsCodeTargetAndReason) {
  const Error inner = Error(Code::kNotFound, "no lab").with_target("labs/a").with_reason("ResourceNotFound");
  const Error outer = inner.during("start");
  EXPECT_EQ(outer.code(), Code::kNotFound);
  EXPECT_EQ(outer.target(), "labs/a");
  EXPECT_EQ(outer.reason(), "ResourceNotFound");
  EXPECT_EQ(outer.message(), "start: no lab");
}

TEST(Error, AFullDiskIsResourceExhausted) {
  EXPECT_EQ(errno_error(ENOSPC, "write").code(), Code::kResourceExhausted);
  EXPECT_EQ(errno_error(ENOENT, "open").code(), Code::kNotFound);
  EXPECT_EQ(errno_error(EIO, "read").code(), Code::kInternal);
}

}  // namespace
}  // namespace atelier
