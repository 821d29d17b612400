#include "vm/domain_xml.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

namespace atelier::vm {
namespace {

constexpr std::array<std::pair<char, std::string_view>, 5> kEntities = {
    {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\'', "&apos;"}, {'"', "&quot;"}}};

std::string xml_unescape(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    bool entity = false;
    for (const auto& [character, name] : kEntities) {
      if (!text.starts_with(name)) continue;
      plain += character;
      text.remove_prefix(name.size());
      entity = true;
      break;
    }
    if (entity) continue;
    plain += text.front();
    text.remove_prefix(1);
  }
  return plain;
}

// The value of an attribute of a start tag, in either kind of quotes.
std::optional<std::string> attribute(std::string_view element, std::string_view name) {
  for (const char quote : {'\'', '"'}) {
    const std::string opening = fmt::format(" {}={}", name, quote);
    const std::size_t at = element.find(opening);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = element.substr(at + opening.size());
    const std::size_t end = rest.find(quote);
    if (end == std::string_view::npos) return std::nullopt;
    return xml_unescape(rest.substr(0, end));
  }
  return std::nullopt;
}

std::string vnc_path(const VmSpec& spec) { return (spec.folder / "run" / "vnc.sock").string(); }
std::string agent_path(const VmSpec& spec) { return (spec.folder / "run" / "qga.sock").string(); }
std::string seed_path(const VmSpec& spec) {
  return spec.seed == SeedDisk::kAttached ? (spec.folder / "seed.iso").string() : "";
}

std::string metadata(const VmSpec& spec, std::uint16_t ssh_port) {
  return fmt::format(
      "  <metadata>\n"
      "    <atelier:vm xmlns:atelier='{}' ssh-port='{}' image-socket='{}' vnc-socket='{}' disk='{}' seed='{}'/>\n"
      "  </metadata>\n",
      kMetadataUri, ssh_port, xml_escape(spec.disk.backing.socket), xml_escape(vnc_path(spec)),
      xml_escape(spec.disk.path.string()), xml_escape(seed_path(spec)));
}

// error_policy: when the image server is away or the host's disk is full, the guest stands still and sees no error.
std::string system_disk(const VmSpec& spec) {
  return fmt::format(
      "    <disk type='file' device='disk'>\n"
      "      <driver name='qemu' type='qcow2' error_policy='stop' rerror_policy='stop' discard='unmap'/>\n"
      "      <source file='{}'/>\n"
      "      <backingStore type='network'>\n"
      "        <format type='raw'/>\n"
      "        <source protocol='nbd' name='{}'>\n"
      "          <host transport='unix' socket='{}'/>\n"
      "        </source>\n"
      "        <backingStore/>\n"
      "      </backingStore>\n"
      "      <target dev='vda' bus='virtio'/>\n"
      "    </disk>\n",
      xml_escape(spec.disk.path.string()), xml_escape(spec.disk.backing.export_name),
      xml_escape(spec.disk.backing.socket));
}

std::string seed_disk(const VmSpec& spec) {
  if (spec.seed == SeedDisk::kNone) return "";
  return fmt::format(
      "    <disk type='file' device='disk'>\n"
      "      <driver name='qemu' type='raw' error_policy='stop' rerror_policy='stop'/>\n"
      "      <source file='{}'/>\n"
      "      <backingStore/>\n"
      "      <target dev='vdb' bus='virtio'/>\n"
      "      <readonly/>\n"
      "    </disk>\n",
      xml_escape(seed_path(spec)));
}

std::string forward(std::uint16_t port) { return fmt::format("hostfwd=tcp:127.0.0.1:{}-:22", port); }

// By QEMU's own arguments: libvirt's <interface type='user'> has neither restrict nor hostfwd. The fixed slot is beyond
// those that libvirt fills.
std::string network(const VmSpec& spec, std::uint16_t ssh_port) {
  return fmt::format(
      "  <qemu:commandline>\n"
      "    <qemu:arg value='-netdev'/>\n"
      "    <qemu:arg value='user,id=atelier0,restrict={},{}'/>\n"
      "    <qemu:arg value='-device'/>\n"
      "    <qemu:arg value='virtio-net-pci,netdev=atelier0,addr=0x10,romfile='/>\n"
      "  </qemu:commandline>\n",
      spec.network == GuestNetwork::kOpen ? "off" : "on", forward(ssh_port));
}

// Replaces the only occurrence; false when there is none or more than one.
bool replace_once(std::string& text, const std::string& old_text, const std::string& new_text) {
  const std::size_t at = text.find(old_text);
  if (at == std::string::npos || text.find(old_text, at + 1) != std::string::npos) return false;
  text.replace(at, old_text.size(), new_text);
  return true;
}

}  // namespace

std::string xml_escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    std::string_view entity;
    for (const auto& [character, name] : kEntities) {
      if (c == character) entity = name;
    }
    if (!entity.empty()) {
      escaped += entity;
    } else {
      escaped += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;  // XML 1.0 has no control characters
    }
  }
  return escaped;
}

std::string domain_xml(const VmSpec& spec, Accelerator accelerator, std::uint16_t ssh_port) {
  const bool kvm = accelerator == Accelerator::kKvm;
  std::string xml = fmt::format(
      "<domain type='{}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
      "  <name>atelier-{}</name>\n"
      "  <uuid>{}</uuid>\n",
      kvm ? "kvm" : "qemu", xml_escape(spec.uuid), xml_escape(spec.uuid));
  if (!spec.name.empty()) xml += fmt::format("  <title>{}</title>\n", xml_escape(spec.name));
  xml += metadata(spec, ssh_port);
  xml += fmt::format(
      "  <memory unit='MiB'>{}</memory>\n"
      "  <vcpu>{}</vcpu>\n"
      "  <os>\n"
      "    <type arch='x86_64' machine='pc'>hvm</type>\n"
      "    <boot dev='hd'/>\n"
      "  </os>\n"
      "  <features>\n"
      "    <acpi/>\n"
      "    <apic/>\n"
      "  </features>\n"
      "  <cpu mode='{}'/>\n"
      "  <clock offset='utc'/>\n"
      "  <on_poweroff>destroy</on_poweroff>\n"
      "  <on_reboot>restart</on_reboot>\n"
      "  <on_crash>destroy</on_crash>\n"
      "  <devices>\n"
      "    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n",
      spec.memory_mib, spec.vcpus, kvm ? "host-passthrough" : "maximum");
  xml += system_disk(spec);
  xml += seed_disk(spec);
  xml += fmt::format(
      "    <controller type='usb' model='none'/>\n"
      "    <serial type='file'>\n"
      "      <source path='{}' append='on'/>\n"
      "      <target port='0'/>\n"
      "    </serial>\n"
      "    <channel type='unix'>\n"
      "      <source mode='bind' path='{}'/>\n"
      "      <target type='virtio' name='org.qemu.guest_agent.0'/>\n"
      "    </channel>\n"
      "    <graphics type='vnc'>\n"
      "      <listen type='socket' socket='{}'/>\n"
      "    </graphics>\n"
      "    <video>\n"
      "      <model type='vga'/>\n"
      "    </video>\n"
      "    <rng model='virtio'>\n"
      "      <backend model='random'>/dev/urandom</backend>\n"
      "    </rng>\n"
      "    <memballoon model='none'/>\n"
      "  </devices>\n",
      xml_escape((spec.folder / "console.log").string()), xml_escape(agent_path(spec)), xml_escape(vnc_path(spec)));
  xml += network(spec, ssh_port);
  xml += "</domain>\n";
  return xml;
}

std::optional<DomainNotes> parse_notes(std::string_view element) {
  const auto port = attribute(element, "ssh-port");
  if (!port) return std::nullopt;
  DomainNotes notes;
  const auto [end, error] = std::from_chars(port->data(), port->data() + port->size(), notes.ssh_port);
  if (error != std::errc() || end != port->data() + port->size()) return std::nullopt;
  notes.image_socket = attribute(element, "image-socket").value_or("");
  notes.vnc_socket = attribute(element, "vnc-socket").value_or("");
  notes.disk = attribute(element, "disk").value_or("");
  notes.seed = attribute(element, "seed").value_or("");
  return notes;
}

std::optional<std::string> with_ssh_port(std::string xml, std::uint16_t old_port, std::uint16_t new_port) {
  if (!replace_once(xml, forward(old_port), forward(new_port))) return std::nullopt;
  for (const char quote : {'\'', '"'}) {
    const auto noted = [&](std::uint16_t port) { return fmt::format(" ssh-port={}{}{}", quote, port, quote); };
    if (replace_once(xml, noted(old_port), noted(new_port))) return xml;
  }
  return std::nullopt;
}

}  // namespace atelier::vm
