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
#include <utility>
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

constexpr std::uint64_t kFileBytesMax = 64U << 20;

// Its pieces over zeros; a later piece covers an earlier one.
struct SparseFile {
  std::uint64_t size_bytes = 0;
  std::vector<std::pair<std::uint64_t, std::vector<std::uint8_t>>> pieces;

  void read(std::uint64_t offset, std::span<std::uint8_t> out) const {
    if (offset > size_bytes || out.size() > size_bytes - offset) std::abort();
    std::ranges::fill(out, std::uint8_t{0});
    for (const auto& [start, bytes] : pieces) {
      const std::uint64_t from = std::max(start, offset);
      const std::uint64_t to = std::min(start + bytes.size(), offset + out.size());
      if (from < to) std::memcpy(out.data() + (from - offset), bytes.data() + (from - start), to - from);
    }
  }
};

SparseFile file_of(std::span<const std::uint8_t> input) {
  SparseFile file;
  file.size_bytes = std::uint64_t{image::little_endian_at<std::uint32_t>(input, 1)} * 512 % (kFileBytesMax + 512);
  input = input.subspan(5);
  while (input.size() > 6 && file.size_bytes != 0) {
    const std::uint64_t offset = image::little_endian_at<std::uint32_t>(input, 0) % file.size_bytes;
    std::size_t length = image::little_endian_at<std::uint16_t>(input, 4);
    input = input.subspan(6);
    length = std::min<std::uint64_t>({length, input.size(), file.size_bytes - offset});
    file.pieces.emplace_back(offset,
                             std::vector<std::uint8_t>(input.begin(), input.begin() + static_cast<long>(length)));
    input = input.subspan(length);
  }
  return file;
}

// Where the file has the magic, the block's checksum is put right.
template <typename Put>
void fix(SparseFile& file, std::uint64_t at, std::size_t bytes, const char* magic, const Put& put) {
  if (at > file.size_bytes || bytes > file.size_bytes - at) return;
  std::vector<std::uint8_t> block(std::strlen(magic));
  file.read(at, block);
  if (std::memcmp(block.data(), magic, block.size()) != 0) return;
  block.resize(bytes);
  file.read(at, block);
  put(std::span(block));
  file.pieces.emplace_back(at, std::move(block));
}

void fix_checksums(SparseFile& file) {
  const auto put_footer = [](std::span<std::uint8_t> block) { image::put_vhd_checksum(block, 64); };
  const auto put_header = [](std::span<std::uint8_t> block) { image::put_vhd_checksum(block, 36); };
  if (file.size_bytes >= 512) fix(file, file.size_bytes - 512, 512, "conectix", put_footer);
  fix(file, 0, 512, "conectix", put_footer);
  fix(file, 512, 1024, "cxsparse", put_header);
  for (const std::uint64_t at : {64U << 10, 128U << 10}) fix(file, at, 4096, "head", image::put_crc32c);
  for (const std::uint64_t at : {192U << 10, 256U << 10}) fix(file, at, 64U << 10, "regi", image::put_crc32c);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 5) return 0;
  SparseFile file = file_of({data, size});
  if ((data[0] & 1) != 0) fix_checksums(file);
  std::uint64_t bytes_read = 0;
  const image::DiskBytes disk{file.size_bytes, [&](std::uint64_t offset, std::span<std::uint8_t> out) -> Status {
                                bytes_read += out.size();
                                file.read(offset, out);
                                return {};
                              }};
  const auto format = image::ATELIER_CHECK(disk, image::InspectOptions{});
  if (format && (format->virtual_bytes == 0 || format->virtual_bytes % 512 != 0)) std::abort();
  // Bounded work: about the file once, tables read in clusters, and the snapshot table in small steps.
  if (bytes_read > 4 * disk.size_bytes + (1U << 20)) std::abort();
  return 0;
}
