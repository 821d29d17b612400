// Hostile disk files, through the inspector and, where that lets one pass, through the sandbox: each gives an error or
// the right disk, and no byte of another file of this host. Cases F2 to F14 of what disk formats have been used for.
// ATELIER_TORTURE=1 also reads every one of the changed files that the inspector takes, not only some.
#include <fcntl.h>
#include <fmt/format.h>

#include <cstdlib>
#include <set>
#include <vector>

#include "atelier/disk_file_fixture.h"
#include "image/sample_files_test_parts.h"

namespace atelier::cli {
namespace {

namespace fs = std::filesystem;
using image::FileField;
using image::OpenSample;
using image::run;
using image::SampleFile;

constexpr std::string_view kCanary = "CANARY-OF-THE-HOST-";

// Standard error goes to a file meanwhile: what is logged is an answer too.
class CaughtLog {
 public:
  explicit CaughtLog(std::string path) : path_(std::move(path)), kept_(::dup(STDERR_FILENO)) {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ::dup2(fd, STDERR_FILENO);
    ::close(fd);
  }
  ~CaughtLog() {
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
  }
  CaughtLog(const CaughtLog&) = delete;
  CaughtLog& operator=(const CaughtLog&) = delete;
  std::string text() const { return bytes_of_file(path_); }

 private:
  std::string path_;
  int kept_;
};

class HostileFiles : public DiskFileTest {
 protected:
  void SetUp() override {
    DiskFileTest::SetUp();
    fs::create_directory(file("host"));
    std::string canaries;
    while (canaries.size() < kDiskBytes) canaries += kCanary;
    canaries[510] = '\x55';
    canaries[511] = '\xaa';
    write("host/canary", canaries.substr(0, kDiskBytes));
    taken_ = {root_};
    log_ = std::make_unique<CaughtLog>(file("log"));
  }

  void TearDown() override {
    const std::string log = log_->text();
    log_.reset();
    EXPECT_EQ(log.find(kCanary), std::string::npos) << log;
    EXPECT_EQ(answers_.find(kCanary), std::string::npos) << answers_;
    EXPECT_EQ(answers_.find(dir_.path().string()), std::string::npos) << "an answer names a path: " << answers_;
    const auto images = image::list_images(*store_);
    ASSERT_TRUE(images);
    for (const image::ImageRecord& record : *images) {
      EXPECT_TRUE(taken_.contains(record.root)) << "an image that no file should have given";
    }
    EXPECT_EQ(bytes_of_image(root_).find(kCanary), std::string::npos);
  }

  // An error, or the root of the very disk.
  void expect_error_or_root(const std::string& name, const std::string& what) {
    const auto root = put(name);
    if (root) {
      EXPECT_EQ(root->hex(), root_.hex()) << what;
    } else {
      expect_fair(root.error(), what);
    }
  }
  void expect_fair(const Error& error, const std::string& what) {
    answers_ += error.message() + "\n";
    const bool is_fair =
        error.code() == Code::kInvalidArgument || error.code() == Code::kTooLarge || error.code() == Code::kUnsupported;
    EXPECT_TRUE(is_fair) << what << ": " << error.message();
  }
  void expect_refused(const std::string& name, std::string_view part) {
    const auto root = put(name);
    ASSERT_FALSE(root) << part << " was taken";
    expect_fair(root.error(), name);
    EXPECT_NE(root.error().message().find(part), std::string::npos) << part << ": " << root.error().message();
  }

  std::string canary() const { return file("host/canary"); }

  std::set<image::Digest> taken_;
  std::string answers_;
  std::unique_ptr<CaughtLog> log_;
};

const SampleFile& sample(const std::string& name) {
  for (const SampleFile& one : image::sample_files()) {
    if (one.name == name) return one;
  }
  ADD_FAILURE() << "no sample " << name;
  return image::sample_files().front();
}

const FileField& field(const std::vector<FileField>& fields, std::string_view name) {
  for (const FileField& one : fields) {
    if (one.name == name) return one;
  }
  ADD_FAILURE() << "no field " << name;
  return fields.front();
}

// ---- Each field of each format at its edges. ----

class HostileFields : public HostileFiles, public testing::WithParamInterface<SampleFile> {
 protected:
  // A table's entry may rightly say that a block reads as zeros; nothing else may change.
  void expect_blocks_zeroed(const image::Digest& root, const std::string& what) {
    taken_.insert(root);
    const std::string disk = bytes_of_file(file("disk.raw"));
    const std::string got = bytes_of_image(root);
    ASSERT_EQ(got.size(), disk.size()) << what;
    const std::string zeros(512, '\0');
    for (std::size_t at = 0; at < disk.size(); at += 512) {
      ASSERT_TRUE(got.compare(at, 512, disk, at, 512) == 0 || got.compare(at, 512, zeros) == 0)
          << what << ": other bytes at " << at;
    }
  }

  void read_taken(const FileField& changed, const std::string& what) {
    const auto root = put("disk");
    if (!root) {
      expect_fair(root.error(), what);
    } else if (changed.name.ends_with("entry")) {
      expect_blocks_zeroed(*root, what);
    } else {
      EXPECT_EQ(root->hex(), root_.hex()) << what;
    }
  }
};

TEST_P(HostileFields, AtTheirEdgesGiveAnErrorOrTheRightDisk) {
  const bool is_torture = std::getenv("ATELIER_TORTURE") != nullptr;  // NOLINT(concurrency-mt-unsafe): no threads yet
  const OpenSample open(GetParam(), file("disk.raw"), file("disk"));
  constexpr int kReadsMax = 3;
  int states = 0;
  int taken = 0;
  for (const FileField& one : open.fields()) {
    const std::uint64_t right = open.get(one);
    for (const std::uint64_t value : image::edge_values(one.bytes)) {
      for (const bool is_fixed : {true, false}) {
        if (value == right) continue;
        const std::string what = fmt::format("{}: {} = {:#x}", GetParam().name, one.name, value);
        open.set(one, value);
        if (is_fixed) open.fix_checksums();
        ++states;
        const auto format = image::inspect_disk_file(file("disk"));
        if (!format) {
          expect_fair(format.error(), what);
        } else if (++taken; is_torture || taken <= kReadsMax || one.name.ends_with("entry")) {
          read_taken(one, what);
        }
        open.set(one, right);
        open.fix_checksums();
      }
    }
  }
  RecordProperty("states", states);
  RecordProperty("taken", taken);
  EXPECT_GT(states, 100);
  expect_error_or_root("disk", "changed back");
}

INSTANTIATE_TEST_SUITE_P(Formats, HostileFields, testing::ValuesIn(image::sample_files()), [](const auto& one) {
  std::string name;
  for (const char c : one.param.name) name += c == '-' ? '_' : c;
  return name;
});

TEST_F(HostileFiles, AFileThatIsCutOffIsRefused) {
  for (const SampleFile& one : image::sample_files()) {
    if (one.name == "vhd-fixed") continue;  // without its footer it is a raw disk, which has no end of its own
    fs::remove(file("disk"));
    const OpenSample open(one, file("disk.raw"), file("disk"));
    std::set<std::uint64_t> sizes;
    for (std::uint64_t size = 0; size < 64U << 10; size += 512) sizes.insert(size);
    for (std::uint64_t size = 0; size < open.size(); size += 128U << 10) sizes.insert(size);
    sizes.insert(open.size() - 512);
    sizes.insert(open.size() - 1);
    for (auto size = sizes.rbegin(); size != sizes.rend(); ++size) {  // shorter and shorter
      if (*size >= open.size()) continue;
      fs::resize_file(file("disk"), *size);
      const auto format = image::inspect_disk_file(file("disk"));
      if (!format) {
        expect_fair(format.error(), one.name);
        continue;
      }
      // Only bytes that no table names may be missing.
      EXPECT_EQ(format->virtual_bytes, kDiskBytes) << one.name << " of " << *size;
      expect_error_or_root("disk", fmt::format("{} of {} bytes", one.name, *size));
    }
  }
}

// ---- Files that reach for a file of the host. ----

TEST_F(HostileFiles, AQcow2ThatNamesAFileOfTheHost) {
  run(fmt::format("qemu-img create -q -f qcow2 -b {} -F raw {}", canary(), file("disk")));
  expect_refused("disk", "backing file");
  run(fmt::format("cp {} {} && qemu-img create -q -f qcow2 -o data_file={},data_file_raw=on {} 8M", canary(),
                  file("host/data"), file("host/data"), file("disk")));
  run(fmt::format("cp {} {}", canary(), file("host/data")));  // qemu-img cleared it
  expect_refused("disk", "another file");
}

TEST_F(HostileFiles, AVmdkWhoseDescriptorNamesAFileOfTheHost) {
  constexpr const char* kText =
      "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"{}\"\n{}\nddb.adapterType = "
      "\"ide\"\n";
  const std::uint64_t sectors = kDiskBytes / 512;
  for (const std::string type : {"monolithicFlat", "vmfs", "fullDevice", "monolithicSparse", "streamOptimized"}) {
    for (const std::string extent : {"FLAT", "VMFS", "SPARSE", "ZERO"}) {
      const std::string line = fmt::format("RW {} {} \"{}\" 0", sectors, extent, canary());
      std::string text = fmt::format(fmt::runtime(kText), type, line);
      write("disk", text);
      expect_refused("disk", "data is in other files");
      text.resize(1024, '\n');
      write("disk", text + std::string(4096, '\0'));
      expect_refused("disk", "data is in other files");
      // The same inside a whole sparse file, with and without a capacity: at 0 QEMU follows the descriptor.
      const OpenSample open(sample("vmdk-sparse"), file("disk.raw"), file("disk"));
      text.resize(std::size_t{20} * 512, '\0');
      open.write(512, text);
      const auto root = put("disk");
      ASSERT_FALSE(root) << type << " " << extent;
      expect_fair(root.error(), type);
      open.set(field(open.fields(), "capacity"), 0);
      expect_refused("disk", "VMDK");
      fs::remove(file("disk"));
    }
  }
}

TEST_F(HostileFiles, AVmdkWithALineMore) {
  const OpenSample open(sample("vmdk-sparse"), file("disk.raw"), file("disk"));
  const std::string right = open.read(512, 20 * std::size_t{512});
  const std::string text = right.substr(0, right.find('\0'));
  const auto with = [&](const std::string& line) {
    std::string changed = text + line + "\n";
    changed.resize(right.size(), '\0');
    open.write(512, changed);
  };
  with("ddb.comment = \"harmless\"");
  EXPECT_TRUE(put("disk"));
  const std::vector<std::string> lines = {"parentFileNameHint=\"" + canary() + "\"",
                                          "# parentFileNameHint=\"" + canary() + "\"",
                                          "changeTrackPath=\"" + canary() + "\"",
                                          "RW 16384 FLAT \"" + canary() + "\" 0",
                                          "RW 128 SPARSE \"other.vmdk\"",
                                          "parentCID=12345678",
                                          "createType=\"vmfs\"",
                                          "anything",
                                          "unknown = 1",
                                          "isNativeSnapshot=\"yes\"",
                                          "ddb.x = \"\x01\""};
  for (const std::string& line : lines) {
    with(line);
    const auto root = put("disk");
    ASSERT_FALSE(root) << line;
    expect_fair(root.error(), line);
  }
  open.write(512, right);
  open.write(512 + right.size() - 600, "hidden");
  expect_refused("disk", "behind its descriptor");
  open.write(512, right);
  expect_error_or_root("disk", "changed back");
}

TEST_F(HostileFiles, ADifferencingDisk) {
  {
    const OpenSample open(sample("vhd-dynamic"), file("disk.raw"), file("disk"));
    const auto fields = open.fields();
    open.set(field(fields, "type"), 4);
    open.write(512 + 64, canary());
    open.fix_checksums();
    expect_refused("disk", "parent disk");
    open.set(field(fields, "type"), 3);  // dynamic, and names one all the same
    open.fix_checksums();
    expect_refused("disk", "parent disk");
  }
  fs::remove(file("disk"));
  {
    const OpenSample open(sample("vhdx-dynamic"), file("disk.raw"), file("disk"));
    const auto fields = open.fields();
    const FileField& first = field(fields, "metadata part 0");
    const FileField flags{"flags", {first.offsets.front() + 4}};
    open.set(flags, 2);
    expect_refused("disk", "parent disk");
    open.set(flags, 0);
    // The parent locator's id in the place of the last part's.
    open.write(field(fields, "metadata part 2's id").offsets.front(),
               std::string("\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c", 16));
    expect_refused("disk", "parent disk");
  }
  fs::remove(file("disk"));
  const OpenSample open(sample("vdi-dynamic"), file("disk.raw"), file("disk"));
  open.set(field(open.fields(), "type"), 4);
  expect_refused("disk", "another disk");
  open.set(field(open.fields(), "type"), 1);
  open.set(field(open.fields(), "parent"), 1);
  expect_refused("disk", "parent disk");
}

TEST_F(HostileFiles, ARawDiskWithAnotherFormatsHeaderGivesItsVeryBytesOrIsRefused) {
  // What a guest may write over its disk, then upload or export: a qcow2 header that names a file of the host.
  run(fmt::format("qemu-img create -q -f qcow2 -b {} -F raw {}", canary(), file("header")));
  std::string disk = bytes_of_file(file("disk.raw"));
  disk.replace(0, 4096, bytes_of_file(file("header")).substr(0, 4096));
  write("disk", disk);
  const auto root = put("disk");
  ASSERT_FALSE(root);
  expect_fair(root.error(), "a qcow2 header");
}

TEST_F(HostileFiles, AnEncryptedOrUnclosedFileSaysSo) {
  for (const std::uint64_t method : {1U, 2U}) {  // AES and LUKS
    fs::remove(file("disk"));
    const OpenSample open(sample("qcow2-3"), file("disk.raw"), file("disk"));
    open.set(field(open.fields(), "encryption"), method);
    expect_refused("disk", "encrypted");
  }
  fs::remove(file("disk"));
  const OpenSample open(sample("vhdx-dynamic"), file("disk.raw"), file("disk"));
  const FileField log_id = field(open.fields(), "log id");
  open.set(log_id, 7);
  open.set(field(open.fields(), "sequence"), 7);
  open.write((128U << 10), open.read(64U << 10, 4096));  // both headers the same
  open.fix_checksums();
  expect_refused("disk", "was not closed");
}

// ---- Two formats at once. ----

TEST_F(HostileFiles, AFileOfTwoFormatsIsRefused) {
  struct Magic {
    const char* name;
    std::uint64_t offset;
    std::string bytes;
  };
  const std::vector<Magic> magics = {{"vdi", 64, "\x7f\x10\xda\xbe"}, {"iso", 0x8001, "CD001"}};
  for (const SampleFile& one : image::sample_files()) {
    for (const Magic& magic : magics) {
      // Where VDI has its magic a VHD has its checksum.
      if (one.name.starts_with(magic.name) || one.name == "vhd-dynamic") continue;
      fs::remove(file("disk"));
      const OpenSample open(one, file("disk.raw"), file("disk"));
      open.write(magic.offset, magic.bytes);
      open.fix_checksums();
      expect_refused("disk", "two formats");
    }
    if (one.name.starts_with("vhd-")) continue;
    fs::remove(file("disk"));
    run(fmt::format("qemu-img convert -f raw {} {} {}", one.options, file("disk.raw"), file("disk")));
    run(fmt::format("qemu-img convert -f raw {} {} {}", sample("vhd-fixed").options, file("disk.raw"), file("fixed")));
    run(fmt::format("tail -c 512 {} >> {}", file("fixed"), file("disk")));
    expect_refused("disk", "two formats");
  }
}

// ---- Bombs: small files of endless disks. ----

TEST_F(HostileFiles, AFileThatClaimsMoreThanItHoldsIsRefused) {
  // One block, named by the whole table: the disk would have as many bytes as the table can say.
  struct Table {
    const char* sample;
    const char* entry;
    std::size_t count;
  };
  for (const Table& one : {Table{"qcow2-3", "L2 entry", 33}, Table{"vhd-dynamic", "table entry", 2},
                           Table{"vhdx-dynamic", "table entry", 3}, Table{"vmdk-sparse", "table entry", 33},
                           Table{"vdi-dynamic", "map entry", 3}}) {
    fs::remove(file("disk"));
    const OpenSample open(sample(one.sample), file("disk.raw"), file("disk"));
    const FileField first = field(open.fields(), one.entry);
    const std::uint64_t value = open.get(first);
    for (std::size_t i = 1; i < one.count; ++i) {
      FileField next = first;
      next.offsets = {first.offsets.front() + i * first.bytes};
      open.set(next, value);
    }
    expect_refused("disk", "refused");
  }
  run("qemu-img create -q -f qcow2 -o cluster_size=2M " + file("disk") + " 17T");
  expect_refused("disk", "at most 16.0 TiB");
  for (const char* const options : {"vhdx", "vmdk", "vdi"}) {
    run(fmt::format("qemu-img create -q -f {} {} 17T", options, file("disk")));
    expect_refused("disk", "at most 16.0 TiB");
  }
}

}  // namespace
}  // namespace atelier::cli
