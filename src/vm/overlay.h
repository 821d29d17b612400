// A VM's disk is a thin qcow2 overlay on an image. Here overlays are made, and stopped VMs' disks are offered as
// read-only NBD disks. Nothing here ever probes a format or trusts a file name inside a disk's header.
// All functions may be called from any thread.
#pragma once

#include <chrono>
#include <filesystem>

#include "base/error.h"
#include "vm/disk_export.h"
#include "vm/nbd_disk.h"

namespace atelier::vm {

// A qcow2 file that holds what a VM wrote; all else is read from `backing`.
struct OverlayDisk {
  std::filesystem::path path;  // absolute
  NbdDisk backing;
};

// Makes the overlay file, durable when it returns: some 16 KB whatever the disk's size. The image server need not be
// up. The folder must exist. A whole overlay of the same size that is there already is left alone, so that a journey
// can be started again; kAlreadyExists when the path holds anything else.
Status create_overlay(const OverlayDisk& disk);

struct ExportOptions {
  unsigned connections_max = 4;                    // of readers at the same time
  std::chrono::milliseconds start_timeout{20000};  // until the server answers, else kUnavailable
};

// Offers the overlay together with its backing. The VM must be stopped and stay so (kFailedPrecondition when its disk
// is in use), the image server must run.
Result<DiskExport> export_overlay(const OverlayDisk& disk, const ExportOptions& options = {});

}  // namespace atelier::vm
