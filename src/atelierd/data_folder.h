// The folder that everything is kept in, and who may use it.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"

namespace atelier::atelierd {

// DATA/ca.pem             what clients must trust
// DATA/atelier.db         metadata (SQLite)
// DATA/stores/REGION/     images
// DATA/cache/REGION       what image servers have read of the stores; may be deleted while none runs
// DATA/uploads/           disks on their way in
// DATA/vms/UUID/          one folder a VM: overlay, seed, console log
// DATA/run/               sockets and pid files
class DataFolder {
 public:
  // Makes what is missing and locks the folder against a second atelierd. kFailedPrecondition when another one runs on
  // it, or when QEMU's user could not reach the VMs' disks through it.
  static Result<DataFolder> open(const std::filesystem::path& path);
  DataFolder(DataFolder&& other) noexcept;
  DataFolder& operator=(DataFolder&&) = delete;
  ~DataFolder();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path store(const std::string& region) const { return path_ / "stores" / region; }
  std::filesystem::path cache(const std::string& region) const { return path_ / "cache" / region; }
  std::filesystem::path uploads() const { return path_ / "uploads"; }
  std::filesystem::path vms() const { return path_ / "vms"; }
  // DATA/run, or a short folder under /run when that would be too long for a unix socket's address.
  const std::filesystem::path& run() const { return run_; }

 private:
  DataFolder(std::filesystem::path path, std::filesystem::path run, int lock)
      : path_(std::move(path)), run_(std::move(run)), lock_(lock) {}

  std::filesystem::path path_;
  std::filesystem::path run_;
  int lock_;
};

}  // namespace atelier::atelierd
