// Any bytes whatever as a disk file from outside. ATELIER_CHECK is the function under test: the inspector, or the check
// of one format.
//
// An input is a sparse file, so that a small one can be a large disk: one byte of flags (1: make the checksums of VHD
// and VHDX right), four bytes with the file's length in sectors, then pieces of four bytes offset, two bytes length and
// the bytes themselves. All numbers are little-endian; what does not fit is wrapped around or cut.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "image/byte_order.h"
#include "image/format_checksums_test_parts.h"
#include "image/inspect.h"
#include "image/qcow2_check.h"
#include "image/vdi_check.h"
#include "image/vhd_check.h"
#include "image/vhdx_check.h"
#include "image/vmdk_check.h"

namespace {

using namespace atelier;

constexpr std::uint64_t kFileBytesMax = 8U << 20;

std::vector<std::uint8_t> file_of(std::span<const std::uint8_t> input) {
  const std::uint64_t sectors = image::little_endian_at<std::uint32_t>(input, 1);
  std::vector<std::uint8_t> file(sectors * 512 % (kFileBytesMax + 512));
  input = input.subspan(5);
  while (input.size() > 6 && !file.empty()) {
    const std::size_t offset = image::little_endian_at<std::uint32_t>(input, 0) % file.size();
    std::size_t length = image::little_endian_at<std::uint16_t>(input, 4);
    input = input.subspan(6);
    length = std::min({length, input.size(), file.size() - offset});
    if (length != 0) std::memcpy(file.data() + offset, input.data(), length);
    input = input.subspan(length);
  }
  return file;
}

void fix_checksums(std::vector<std::uint8_t>& file) {
  const std::span<std::uint8_t> all(file);
  const auto has = [&](std::size_t at, const char* magic, std::size_t bytes) {
    return at + bytes <= file.size() && std::memcmp(file.data() + at, magic, std::strlen(magic)) == 0;
  };
  if (has(0, "conectix", 512)) image::put_vhd_checksum(all.first(512), 64);
  if (file.size() >= 512 && has(file.size() - 512, "conectix", 512)) image::put_vhd_checksum(all.last(512), 64);
  if (has(512, "cxsparse", 1024)) image::put_vhd_checksum(all.subspan(512, 1024), 36);
  for (const std::size_t at : {64U << 10, 128U << 10}) {
    if (has(at, "head", 4096)) image::put_crc32c(all.subspan(at, 4096));
  }
  for (const std::size_t at : {192U << 10, 256U << 10}) {
    if (has(at, "regi", 64U << 10)) image::put_crc32c(all.subspan(at, 64U << 10));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 5) return 0;
  std::vector<std::uint8_t> file = file_of({data, size});
  if ((data[0] & 1) != 0) fix_checksums(file);
  std::uint64_t bytes_read = 0;
  const image::DiskBytes disk{file.size(), [&](std::uint64_t offset, std::span<std::uint8_t> out) -> Status {
                                if (offset > file.size() || out.size() > file.size() - offset) std::abort();
                                bytes_read += out.size();
                                std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
                                return {};
                              }};
  const auto format = image::ATELIER_CHECK(disk, image::InspectOptions{});
  if (format && (format->virtual_bytes == 0 || format->virtual_bytes % 512 != 0)) std::abort();
  // Bounded work: about the file once, tables read in clusters, and the snapshot table in small steps.
  if (bytes_read > 4 * disk.size_bytes + (1U << 20)) std::abort();
  return 0;
}
