// Disk files of every format that is taken, made by QEMU's tool, with the places of the fields in them: for tests that
// change one field at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace atelier::image {

// A number in a file, at one place or, where the format keeps a copy, at several.
struct FileField {
  std::string name;
  std::vector<std::uint64_t> offsets;
  std::size_t bytes = 4;
  bool is_big_endian = false;
};

// Values at the edges: 0, 1, the largest without and the smallest with the sign bit, the largest two.
std::vector<std::uint64_t> edge_values(std::size_t bytes);

struct SampleFile {
  std::string name;     // "vhd-dynamic"
  std::string options;  // of qemu-img convert, "-O vpc -o subformat=dynamic"
};
const std::vector<SampleFile>& sample_files();

// An open sample, to be changed and changed back.
class OpenSample {
 public:
  // Makes the file from a raw one.
  OpenSample(const SampleFile& sample, const std::filesystem::path& raw, const std::filesystem::path& path);
  ~OpenSample();
  OpenSample(const OpenSample&) = delete;
  OpenSample& operator=(const OpenSample&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const;
  // Its header's fields, and the first entries of its tables.
  std::vector<FileField> fields() const;
  std::uint64_t get(const FileField& field) const;
  void set(const FileField& field, std::uint64_t value) const;
  // Makes the format's checksums right again after a change.
  void fix_checksums() const;
  void write(std::uint64_t offset, const std::string& bytes) const;
  std::string read(std::uint64_t offset, std::size_t bytes) const;

 private:
  std::uint64_t number(std::uint64_t offset, std::size_t bytes, bool is_big_endian) const;

  std::string name_;
  std::filesystem::path path_;
  int fd_;
};

}  // namespace atelier::image
