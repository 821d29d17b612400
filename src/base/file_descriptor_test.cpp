#include "base/file_descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace atelier {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(FileDescriptor, ClosesWhatItOwnsOnceAndHandsItOnWhenMoved) {
  const int first = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int second = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  {
    FileDescriptor owner(first);
    FileDescriptor other(second);
    other = std::move(owner);
    EXPECT_FALSE(is_open(second));
    EXPECT_EQ(other.get(), first);
    EXPECT_TRUE(is_open(first));
  }
  EXPECT_FALSE(is_open(first));
}

TEST(FileDescriptor, OfAFailedCallOwnsNothing) {
  FileDescriptor none(-1);
  EXPECT_LT(none.get(), 0);
  none.close();
}

}  // namespace
}  // namespace atelier
