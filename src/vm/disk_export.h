// A running read-only NBD server for one disk, and how one is started.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "vm/process.h"

namespace atelier::vm {

// The destructor ends the server. It also dies when the thread that made the export ends, however that happens: make
// and use it in one operation's thread.
class DiskExport {
 public:
  struct Running;  // the process and its private folder; defined in disk_export.cpp
  explicit DiskExport(std::unique_ptr<Running> running);
  DiskExport(DiskExport&&) noexcept;
  DiskExport& operator=(DiskExport&&) noexcept;
  ~DiskExport();

  // "nbd+unix:///disk?socket=PATH". Offers base:allocation and, for overlays, qemu:allocation-depth (1 = written here).
  std::string uri() const;
  // For an overlay: the same disk without what lies below it (there it reads as zeros), to ask what is written here. ""
  // for other disks.
  std::string changes_uri() const;

 private:
  std::unique_ptr<Running> running_;
};

inline constexpr const char* kExportName = "disk";
inline constexpr const char* kChangesExportName = "changes";

// A program that, in the folder it is given, listens on "nbd.sock", offers the export kExportName, and writes the file
// "pid" once it listens.
struct DiskServer {
  std::function<std::vector<std::string>(const std::string& folder)> command;
  std::string changes_export{};            // its name when the program offers it as well
  std::optional<Confinement> confinement;  // its writable folder is set by serve_disk()
  std::chrono::milliseconds start_timeout{20000};
};

// kFailedPrecondition when the disk is in use, kUnavailable when its backing server does not answer or the time is
// over, kInvalidArgument when the disk is not of its format.
Result<DiskExport> serve_disk(DiskServer server);

}  // namespace atelier::vm
