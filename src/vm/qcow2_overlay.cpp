#include "vm/qcow2_overlay.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/file_descriptor.h"

namespace atelier::vm {
namespace {

constexpr unsigned kClusterBits = 16;
constexpr std::uint64_t kClusterBytes = 1ULL << kClusterBits;
constexpr std::uint64_t kDiskBytesMax = 1ULL << 44;
constexpr std::uint64_t kDiskBytesOfAnL1Entry = kClusterBytes * (kClusterBytes / 8);  // one table of 8-byte entries
constexpr std::size_t kBackingNameMax = 1023;
constexpr unsigned kRefcountOrder = 4;  // 16 bits each
constexpr std::uint32_t kHeaderBytes = 112;
constexpr std::uint32_t kBackingFormatExtension = 0xe2792aca;

// Where the parts lie, in clusters. The L1 table is last: it alone grows with the disk.
constexpr std::uint64_t kRefcountTable = 1;
constexpr std::uint64_t kRefcountBlock = 2;
constexpr std::uint64_t kL1Table = 3;

// count is at most 8.
void append_big_endian(std::string& bytes, std::uint64_t value, unsigned count) {
  for (unsigned i = count; i-- > 0;) bytes += static_cast<char>(value >> (8 * i) & 0xff);
}

std::string header(const std::string& backing_uri, std::uint64_t disk_bytes, std::uint64_t l1_entries) {
  constexpr std::string_view kFormat = "raw";
  constexpr std::uint32_t kExtensionsBytes = 8 + 8 + 8;  // the format's name, padded to 8; the end
  std::string bytes = "QFI\xfb";
  append_big_endian(bytes, 3, 4);  // version
  append_big_endian(bytes, kHeaderBytes + kExtensionsBytes, 8);
  append_big_endian(bytes, backing_uri.size(), 4);
  append_big_endian(bytes, kClusterBits, 4);
  append_big_endian(bytes, disk_bytes, 8);
  append_big_endian(bytes, 0, 4);  // no encryption
  append_big_endian(bytes, l1_entries, 4);
  append_big_endian(bytes, kL1Table * kClusterBytes, 8);
  append_big_endian(bytes, kRefcountTable * kClusterBytes, 8);
  append_big_endian(bytes, 1, 4);  // cluster of the refcount table: QEMU makes more when the file needs them
  bytes.append(4 + 8, '\0');       // no snapshots
  bytes.append(8 + 8 + 8, '\0');   // no features, of any kind
  append_big_endian(bytes, kRefcountOrder, 4);
  append_big_endian(bytes, kHeaderBytes, 4);
  append_big_endian(bytes, 0, 8);  // compression type zlib (none is compressed), padding
  append_big_endian(bytes, kBackingFormatExtension, 4);
  append_big_endian(bytes, kFormat.size(), 4);
  bytes += kFormat;
  bytes.append(8 - kFormat.size(), '\0');
  append_big_endian(bytes, 0, 8);  // end of the extensions
  return bytes + backing_uri;
}

Status write_at(int fd, std::uint64_t offset, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno != EINTR) return fail(errno_error(errno, "write the virtual machine's disk"));
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  return {};
}

}  // namespace

Status write_qcow2_overlay(const std::filesystem::path& path, const std::string& backing_uri,
                           std::uint64_t disk_bytes) {
  if (disk_bytes == 0 || disk_bytes % 512 != 0 || disk_bytes > kDiskBytesMax) {
    return fail(Code::kInvalidArgument, "A virtual disk has a multiple of 512 bytes, some, and at most 16 TiB.");
  }
  if (backing_uri.size() > kBackingNameMax) {
    return fail(Code::kInvalidArgument, "The path of the image server's socket is too long.");
  }
  const std::uint64_t l1_entries = (disk_bytes + kDiskBytesOfAnL1Entry - 1) / kDiskBytesOfAnL1Entry;
  const std::uint64_t clusters = kL1Table + (l1_entries * 8 + kClusterBytes - 1) / kClusterBytes;
  std::string table;
  append_big_endian(table, kRefcountBlock * kClusterBytes, 8);
  std::string counts;
  for (std::uint64_t i = 0; i < clusters; ++i) append_big_endian(counts, 1, 2);

  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (file.get() < 0) return fail(errno_error(errno, "make the virtual machine's disk"));
  // What is not written reads as zeros: an L1 table of zeros has nothing allocated.
  if (::ftruncate(file.get(), static_cast<off_t>(clusters * kClusterBytes)) != 0) {
    return fail(errno_error(errno, "give the virtual machine's disk its length"));
  }
  TRY(write_at(file.get(), 0, header(backing_uri, disk_bytes, l1_entries)));
  TRY(write_at(file.get(), kRefcountTable * kClusterBytes, table));
  TRY(write_at(file.get(), kRefcountBlock * kClusterBytes, counts));
  if (::fsync(file.get()) != 0) return fail(errno_error(errno, "make the virtual machine's disk durable"));
  return {};
}

}  // namespace atelier::vm
