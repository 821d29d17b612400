// A disk that somebody serves by the NBD protocol on a unix socket of this machine.
#pragma once

#include <cstdint>
#include <string>

namespace atelier::vm {

// One of our images, served by an ImageServer: the export's name is the image's root digest in hexadecimal.
struct NbdDisk {
  std::string socket;            // absolute path of the server's unix socket
  std::string export_name;       // which of the server's disks
  std::uint64_t disk_bytes = 0;  // virtual size

  // "nbd+unix:///EXPORT?socket=PATH", percent-encoded; libnbd, qemu and nbdinfo take it.
  std::string uri() const;
};

}  // namespace atelier::vm
