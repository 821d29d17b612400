// A VM's disk is a thin qcow2 overlay on an image. Here overlays are made, and stopped VMs' disks and uploaded files
// are offered as read-only NBD disks. Nothing here ever probes a format or trusts a file name inside a disk's header.
// All functions may be called from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "vm/nbd_disk.h"

namespace atelier::vm {

// A qcow2 file that holds what a VM wrote; all else is read from `backing`.
struct OverlayDisk {
  std::filesystem::path path;  // absolute
  NbdDisk backing;
};

// Makes the overlay file, durable when it returns: some 200 KB whatever the disk's size. The image server need not be
// up. The folder must exist. A whole overlay of the same size that is there already is left alone, so that a journey
// can be started again; kAlreadyExists when the path holds anything else.
Status create_overlay(const OverlayDisk& disk);

struct ExportOptions {
  unsigned connections_max = 4;                    // of readers at the same time
  std::chrono::milliseconds start_timeout{20000};  // until the server answers, else kUnavailable
};

// Bounds of the sandbox that reads a file from outside.
struct ConfineOptions {
  unsigned connections_max = 4;
  std::chrono::milliseconds start_timeout{20000};
  std::uint64_t memory_bytes_max = 2ULL << 30;  // address space
  std::chrono::seconds cpu_time_max{6 * 3600};
};

enum class FileFormat { kRaw, kQcow2 };

// A running read-only NBD server for one disk. The destructor ends it. The server also dies when the thread that made
// the export ends, however that happens: make and use it in one operation's thread.
class DiskExport {
 public:
  struct Running;  // the process and its private folder; defined in overlay.cpp
  explicit DiskExport(std::unique_ptr<Running> running);
  DiskExport(DiskExport&&) noexcept;
  DiskExport& operator=(DiskExport&&) noexcept;
  ~DiskExport();

  // "nbd+unix:///disk?socket=PATH". Offers base:allocation and, for overlays, qemu:allocation-depth (1 = written here).
  std::string uri() const;

 private:
  std::unique_ptr<Running> running_;
};

// Offers the overlay together with its backing. The VM must be stopped and stay so (kFailedPrecondition when its disk
// is in use), the image server must run.
Result<DiskExport> export_overlay(const OverlayDisk& disk, const ExportOptions& options = {});

// Offers an uploaded, possibly hostile file. The server runs in a sandbox that sees this one file, no network and no
// other process, with bounded memory and time. A backing file named in a qcow2 header is not opened (its clusters read
// as zeros: refuse such files beforehand); one that needs an external data file fails. kInvalidArgument when the file
// is not of this format.
Result<DiskExport> export_file(const std::filesystem::path& path, FileFormat format,
                               const ConfineOptions& options = {});

}  // namespace atelier::vm
