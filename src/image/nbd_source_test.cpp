#include "image/nbd_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>
#include <stop_token>
#include <thread>

#include "image/disk_server_test_parts.h"

namespace atelier::image {
namespace {

using Content = SourceExtent::Content;
using Origin = SourceExtent::Origin;
constexpr std::uint64_t kMiB = 1 << 20;

std::vector<std::byte> file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

void write_random(const std::string& path, std::uint64_t bytes) {
  std::mt19937_64 random(42);
  std::ofstream file(path, std::ios::binary);
  for (std::uint64_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = random();
    file.write(reinterpret_cast<const char*>(&word), 8);
  }
}

TEST(NbdSource, ReadsRangesInDiskOrderWithSmallRequestsOverSeveralConnections) {
  const TempDir dir;
  write_random(dir.file("disk"), 3 * kMiB);
  const DiskServer server(nbdkit_file(dir.file("disk"), dir.file("s")), dir.file("s"));
  const auto source = NbdSource::open(
      {.uri = server.uri(), .connections = 3, .requests_in_flight = 7, .request_bytes = 5000}, TaskContext());
  ASSERT_TRUE(source.has_value()) << source.error().message();
  ASSERT_EQ((*source)->disk_bytes(), 3 * kMiB);
  EXPECT_FALSE((*source)->knows_origin());

  const std::vector<std::byte> disk = file_bytes(dir.file("disk"));
  const std::vector<SourceRange> ranges = {{0, 1}, {512, 100000}, {kMiB, 0}, {kMiB + 1, 2 * kMiB - 1}};
  std::vector<std::byte> got;
  std::uint64_t last_end = 0;
  const Status status = (*source)->read(
      ranges,
      [&](std::uint64_t offset, std::span<const std::byte> bytes) -> Status {
        EXPECT_GE(offset, last_end);
        EXPECT_LE(bytes.size(), 5000U);
        EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), disk.begin() + static_cast<std::ptrdiff_t>(offset)));
        last_end = offset + bytes.size();
        got.insert(got.end(), bytes.begin(), bytes.end());
        return {};
      },
      TaskContext());
  ASSERT_TRUE(status.has_value()) << status.error().message();
  EXPECT_EQ(got.size(), 1 + 100000 + 2 * kMiB - 1);
  EXPECT_EQ(last_end, 3 * kMiB);
}

TEST(NbdSource, TellsHolesAndWhatTheOverlayWrote) {
  const TempDir dir;
  run("qemu-img create -q -f qcow2 " + dir.file("base") + " 8M");
  run("qemu-io -f qcow2 -c 'write -P 1 1M 1M' " + dir.file("base"));
  run("qemu-img create -q -f qcow2 -F qcow2 -b " + dir.file("base") + " " + dir.file("top"));
  run("qemu-io -f qcow2 -c 'write -P 2 3M 1M' -c 'write -z 5M 1M' " + dir.file("top"));
  const DiskServer server(qemu_nbd(dir.file("top"), dir.file("s")), dir.file("s"));
  const auto source = NbdSource::open({.uri = server.uri()}, TaskContext());
  ASSERT_TRUE(source.has_value()) << source.error().message();
  EXPECT_TRUE((*source)->knows_origin());
  const auto extents = (*source)->extents({0, 8 * kMiB}, TaskContext());
  ASSERT_TRUE(extents.has_value()) << extents.error().message();
  const std::vector<SourceExtent> expected = {
      {0, kMiB, Content::kZero, Origin::kBacking},           {kMiB, kMiB, Content::kData, Origin::kBacking},
      {2 * kMiB, kMiB, Content::kZero, Origin::kBacking},    {3 * kMiB, kMiB, Content::kData, Origin::kLocal},
      {4 * kMiB, kMiB, Content::kZero, Origin::kBacking},    {5 * kMiB, kMiB, Content::kZero, Origin::kLocal},
      {6 * kMiB, 2 * kMiB, Content::kZero, Origin::kBacking}};
  EXPECT_EQ(*extents, expected);
  const auto part = (*source)->extents({kMiB + 512, 2 * kMiB}, TaskContext());
  ASSERT_TRUE(part.has_value());
  ASSERT_EQ(part->size(), 3U);
  EXPECT_EQ((*part)[0], (SourceExtent{kMiB + 512, kMiB - 512, Content::kData, Origin::kBacking}));
  EXPECT_EQ((*part)[2], (SourceExtent{3 * kMiB, 512, Content::kData, Origin::kLocal}));
}

TEST(NbdSource, SeveralLayersCountAsLocalWhenAskedTo) {
  const TempDir dir;
  run("qemu-img create -q -f qcow2 " + dir.file("base") + " 4M");
  run("qemu-io -f qcow2 -c 'write -P 1 0 1M' " + dir.file("base"));
  run("qemu-img create -q -f qcow2 -F qcow2 -b " + dir.file("base") + " " + dir.file("overlay"));
  run("qemu-io -f qcow2 -c 'write -P 2 1M 1M' " + dir.file("overlay"));
  run("qemu-img create -q -f qcow2 -F qcow2 -b " + dir.file("overlay") + " " + dir.file("scratch"));
  run("qemu-io -f qcow2 -c 'write -P 3 2M 1M' " + dir.file("scratch"));
  const DiskServer server(qemu_nbd(dir.file("scratch"), dir.file("s")), dir.file("s"));
  const auto source = NbdSource::open({.uri = server.uri(), .layers = 2}, TaskContext());
  ASSERT_TRUE(source.has_value()) << source.error().message();
  const auto extents = (*source)->extents({0, 4 * kMiB}, TaskContext());
  ASSERT_TRUE(extents.has_value()) << extents.error().message();
  const std::vector<SourceExtent> expected = {{0, kMiB, Content::kData, Origin::kBacking},
                                              {kMiB, 2 * kMiB, Content::kData, Origin::kLocal},
                                              {3 * kMiB, kMiB, Content::kZero, Origin::kBacking}};
  EXPECT_EQ(*extents, expected);
}

TEST(NbdSource, TakesAllForDataWhereTheServerTellsNothing) {
  const TempDir dir;
  const DiskServer server({"nbdkit", "-f", "-r", "-U", dir.file("s"), "--filter=noextents", "memory", "4M"},
                          dir.file("s"));
  const auto source = NbdSource::open({.uri = server.uri()}, TaskContext());
  ASSERT_TRUE(source.has_value()) << source.error().message();
  const auto extents = (*source)->extents({0, 4 * kMiB}, TaskContext());
  ASSERT_TRUE(extents.has_value());
  EXPECT_EQ(*extents, (std::vector<SourceExtent>{{0, 4 * kMiB, Content::kData, Origin::kLocal}}));
}

TEST(NbdSource, AReadErrorOfTheServerEndsTheRead) {
  const TempDir dir;
  const DiskServer server({"nbdkit", "-f", "-r", "-U", dir.file("s"), "--filter=error", "memory", "4M",
                           "error-pread=EIO", "error-pread-rate=100%"},
                          dir.file("s"));
  const auto source = NbdSource::open({.uri = server.uri()}, TaskContext());
  ASSERT_TRUE(source.has_value()) << source.error().message();
  const std::vector<SourceRange> ranges = {{0, 4 * kMiB}};
  const auto sink = [](std::uint64_t, std::span<const std::byte>) -> Status { return {}; };
  EXPECT_FALSE((*source)->read(ranges, sink, TaskContext()).has_value());
  EXPECT_FALSE((*source)->read(ranges, sink, TaskContext()).has_value()) << "a source that failed stays failed";
}

TEST(NbdSource, ADeadServerIsUnavailableAndAnUnknownDiskIsNot) {
  const TempDir dir;
  auto nothing = NbdSource::open({.uri = "nbd+unix:///?socket=" + dir.file("none")}, TaskContext());
  ASSERT_FALSE(nothing.has_value());
  EXPECT_EQ(nothing.error().message().find(dir.path().string()), std::string::npos) << "no host path";

  DiskServer server({"nbdkit", "-f", "-r", "-U", dir.file("s"), "memory", "64M"}, dir.file("s"));
  const auto source = NbdSource::open({.uri = server.uri()}, TaskContext());
  ASSERT_TRUE(source.has_value());
  server.kill();
  const std::vector<SourceRange> ranges = {{0, 64 * kMiB}};
  const Status status =
      (*source)->read(ranges, [](std::uint64_t, std::span<const std::byte>) -> Status { return {}; }, TaskContext());
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code(), Code::kUnavailable);
}

TEST(NbdSource, AStopEndsAReadFromASilentServer) {
  const TempDir dir;
  const DiskServer server({"nbdkit", "-f", "-r", "-U", dir.file("s"), "memory", "64M"}, dir.file("s"));
  std::stop_source stop;
  const TaskContext task(stop.get_token(), {});
  const auto source = NbdSource::open({.uri = server.uri()}, task);
  ASSERT_TRUE(source.has_value());
  server.pause();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop.request_stop();
  });
  const std::vector<SourceRange> ranges = {{0, 64 * kMiB}};
  const Status status =
      (*source)->read(ranges, [](std::uint64_t, std::span<const std::byte>) -> Status { return {}; }, task);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code(), Code::kCanceled);
}

TEST(NbdSource, ASilentServerIsGivenUp) {
  const TempDir dir;
  const DiskServer server({"nbdkit", "-f", "-r", "-U", dir.file("s"), "memory", "64M"}, dir.file("s"));
  const auto source = NbdSource::open({.uri = server.uri(), .silence_max = std::chrono::seconds(1)}, TaskContext());
  ASSERT_TRUE(source.has_value());
  server.pause();
  const auto extents = (*source)->extents({0, 64 * kMiB}, TaskContext());
  ASSERT_FALSE(extents.has_value());
  EXPECT_EQ(extents.error().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace atelier::image
