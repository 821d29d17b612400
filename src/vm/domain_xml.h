// The libvirt domain of a VM, as text. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vm/accelerator.h"
#include "vm/hypervisor.h"

namespace atelier::vm {

// Names our element in a domain's metadata: <atelier:vm ssh-port='22042' image-socket='…' …/>.
inline constexpr std::string_view kMetadataUri = "urn:atelier:vm:1";

// What we wrote into a domain's metadata and need again after a restart.
struct DomainNotes {
  std::uint16_t ssh_port = 0;
  std::string image_socket;
  std::string vnc_socket;
  std::string disk;  // files that must be there to start
  std::string seed;  // "" = none
};

// The whole domain. The disk chain is spelled out to its end, so that nothing is probed; I/O errors stop the VM.
std::string domain_xml(const VmSpec& spec, Accelerator accelerator, std::uint16_t ssh_port);

// From the text of our metadata element; nullopt when it is not ours.
std::optional<DomainNotes> parse_notes(std::string_view element);

// The same domain with another ssh port; nullopt when `xml` does not carry `old_port` where we put it.
std::optional<std::string> with_ssh_port(std::string xml, std::uint16_t old_port, std::uint16_t new_port);

std::string xml_escape(std::string_view text);

}  // namespace atelier::vm
