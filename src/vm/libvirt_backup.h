// Backups of running domains by libvirt's pull mode. For the libvirt sources of this folder only. Why so:
// docs/decisions/0003-running-vm-export.md.
#pragma once

#include <string>

#include "base/error.h"
#include "base/task_context.h"
#include "vm/disk_backup.h"
#include "vm/libvirt_connection.h"

namespace atelier::vm {

// Hypervisor::begin_backup() for a domain of ours. The connection outlives the backup.
Result<DiskBackup> begin_libvirt_backup(LibvirtConnection& connection, const std::string& uuid,
                                        const BackupOptions& options, TaskContext& task);

}  // namespace atelier::vm
