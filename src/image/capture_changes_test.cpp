// Captures of a real overlay that changes at random, against all its bytes cut anew.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libnbd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <vector>

#include "image/capture.h"
#include "image/changing_disk_test_parts.h"
#include "image/disk_server_test_parts.h"
#include "image/image_record.h"
#include "image/memory_bucket.h"
#include "image/store_test_parts.h"

namespace atelier::image {
namespace {

struct HandleCloser {
  void operator()(nbd_handle* handle) const { nbd_close(handle); }
};

// A connection that writes.
class DiskWriter {
 public:
  explicit DiskWriter(const std::string& uri) : handle_(nbd_create()) {
    EXPECT_EQ(nbd_connect_uri(handle_.get(), uri.c_str()), 0) << nbd_get_error();
  }
  void apply(const DiskChange& change) {
    int result = 0;
    switch (change.kind) {
      case DiskChange::Kind::kWrite:
        result = nbd_pwrite(handle_.get(), change.data.data(), change.bytes, change.offset, 0);
        break;
      case DiskChange::Kind::kZero:
        result = nbd_zero(handle_.get(), change.bytes, change.offset, 0);
        break;
      case DiskChange::Kind::kDiscard:
        result = nbd_trim(handle_.get(), change.bytes, change.offset, 0);
        break;
    }
    EXPECT_EQ(result, 0) << nbd_get_error();
  }
  // Into the file, for others who read it.
  void flush() { EXPECT_EQ(nbd_flush(handle_.get(), 0), 0) << nbd_get_error(); }
  void read(std::uint64_t offset, std::span<std::byte> bytes) {
    for (constexpr std::size_t kPiece = 16u << 20; !bytes.empty();) {
      const auto piece = bytes.first(std::min(bytes.size(), kPiece));
      ASSERT_EQ(nbd_pread(handle_.get(), piece.data(), piece.size(), offset, 0), 0) << nbd_get_error();
      offset += piece.size();
      bytes = bytes.subspan(piece.size());
    }
  }

 private:
  std::unique_ptr<nbd_handle, HandleCloser> handle_;
};

// A qcow2 overlay on a raw file, as a VM has it, that can be written; and its own layer alone, as an export offers it.
std::vector<std::string> overlay_server(const TempDir& dir) {
  const auto file = [&](const char* node, const std::string& name) {
    return std::vector<std::string>{
        "--blockdev", fmt::format("driver=file,node-name={},filename={},discard=unmap", node, dir.file(name))};
  };
  std::vector<std::string> command = {"qemu-storage-daemon"};
  const auto add = [&](const std::vector<std::string>& arguments) {
    command.insert(command.end(), arguments.begin(), arguments.end());
  };
  add({"--blockdev", fmt::format("driver=file,node-name=base-file,filename={},read-only=on", dir.file("base"))});
  add({"--blockdev", "driver=raw,node-name=base,file=base-file,read-only=on"});
  add(file("top-file", "top"));
  add({"--blockdev", "driver=qcow2,node-name=disk,file=top-file,backing=base,discard=unmap"});
  add({"--nbd-server", fmt::format("addr.type=unix,addr.path={},max-connections=8", dir.file("socket"))});
  add({"--export", "type=nbd,id=disk,node-name=disk,name=disk,writable=on,allocation-depth=on"});
  return command;
}

// The layer alone, from a server of its own: the writer's has the file locked for itself.
std::vector<std::string> changes_server(const TempDir& dir) {
  const std::string file = fmt::format(R"({{"driver":"file","filename":"{}","locking":"off"}})", dir.file("top"));
  return {"qemu-nbd",
          "-r",
          "-t",
          "--shared=4",
          "-A",
          "-k",
          dir.file("changes"),
          fmt::format(R"(json:{{"driver":"qcow2","backing":null,"file":{}}})", file)};
}

// What is on the disk is known byte by byte, and so is its root.
class RandomOverlays : public testing::TestWithParam<std::uint64_t> {
 protected:
  void SetUp() override {
    auto created = Store::create(std::make_unique<MemoryBucket>(), {folder_.path() / "index", folder_.path() / "lock"},
                                 {.pack_bytes_max = 4u << 20});
    ASSERT_OK(created);
    store_ = std::move(*created);
  }

  void write_base() const {
    std::ofstream(dir_.file("base")).close();
    std::filesystem::resize_file(dir_.file("base"), bytes_.size());
    std::fstream file(dir_.file("base"), std::ios::binary | std::ios::in | std::ios::out);
    for (std::size_t at = 0; at < bytes_.size(); at += 1u << 16) {
      const auto piece = std::span(bytes_).subspan(at, std::min<std::size_t>(1u << 16, bytes_.size() - at));
      if (is_all_zero(piece)) continue;
      file.seekp(static_cast<std::streamoff>(at));
      file.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    }
  }

  const TempDir dir_;
  const TestFolder folder_;
  std::unique_ptr<Store> store_;
  TaskContext task_;
  Disk bytes_;
};

// Two segments; data at the disk's beginning and on both sides of the border.
Disk random_two_segments(Random& random) {
  Disk disk(kSegmentBytes + (2000 + random_below(random, 6000)) * kSectorBytes);
  std::ranges::copy(random_disk(random(), 1u << 20), disk.begin());
  const Disk part = random_disk(random(), 3u << 19);
  std::ranges::copy(part, disk.begin() + static_cast<std::ptrdiff_t>(kSegmentBytes - (1u << 20)));
  return disk;
}

constexpr int kOverlaysPerSeed = 4;
constexpr int kCapturesPerOverlay = 9;

TEST_P(RandomOverlays, GiveTheSameRootAsAFullScan) {
  Random random(GetParam());
  bytes_ = random_two_segments(random);
  std::optional<Digest> parent;
  for (int overlay = 0; overlay < kOverlaysPerSeed; ++overlay) {
    SCOPED_TRACE(fmt::format("seed {}, overlay {}", GetParam(), overlay));
    // What was captured last is the next overlay's base.
    if (!parent) parent = write_disk(*store_, bytes_).value().root;
    write_base();
    if (overlay % 2 == 1) bytes_.resize(random_new_size(bytes_.size(), kSegmentBytes + (6u << 20), random));
    constexpr std::array kClusters = {"64k", "64k", "4k", "512"};
    run(fmt::format("qemu-img create -q -f qcow2 -o cluster_size={} -F raw -b {} {} {}",
                    kClusters[random_below(random, kClusters.size())], dir_.file("base"), dir_.file("top"),
                    bytes_.size()));
    const DiskServer server(overlay_server(dir_), dir_.file("socket"));
    DiskWriter writer(server.uri("disk"));
    FullScan scan = full_scan(bytes_);
    Digest last;
    for (int i = 0; i < kCapturesPerOverlay; ++i) {
      SCOPED_TRACE(fmt::format("capture {}", i));
      for (std::uint64_t count = random_below(random, 7); count > 0; --count) {
        const DiskChange change = random_change(bytes_, scan.edges, 600u << 10, random);
        writer.apply(change);
        // A discard may do less than it is asked for: the disk is what the server says.
        writer.read(change.offset, std::span(bytes_).subspan(change.offset, change.bytes));
      }
      CaptureOptions options{.nbd_uri = server.uri("disk"), .parent = parent, .threads = 1};
      std::optional<DiskServer> changes;
      if (i % 3 == 2) {  // as an export does it
        writer.flush();
        changes.emplace(changes_server(dir_), dir_.file("changes"));
        options.changes_uri = changes->uri();
      }
      const auto captured = capture_disk(*store_, options, task_);
      ASSERT_OK(captured);
      scan = full_scan(bytes_);
      ASSERT_EQ(captured->record.root, scan.root);
      ASSERT_LT(captured->bytes_read, 16u << 20) << "what did not change is not read";
      last = captured->record.root;
    }
    Disk served(bytes_.size());
    writer.read(0, served);
    ASSERT_EQ(served, bytes_) << "the test knows the disk";
    ASSERT_EQ(read_disk(*store_, last).value(), bytes_);
    parent = last;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOverlays, testing::Range<std::uint64_t>(1, 7));

}  // namespace
}  // namespace atelier::image
