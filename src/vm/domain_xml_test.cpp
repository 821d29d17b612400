#include "vm/domain_xml.h"

#include <gtest/gtest.h>

#include <string>

#include "vm/host_port.h"

namespace atelier::vm {
namespace {

VmSpec spec() {
  return {.uuid = "7b0c6c5e-0000-4000-8000-000000000001",
          .name = "CS101 <template> & 'co'",
          .vcpus = 2,
          .memory_mib = 4096,
          .folder = "/data/vms/7b0c6c5e",
          .disk = {.path = "/data/vms/7b0c6c5e/disk.qcow2",
                   .backing = {.socket = "/data/run/japaneast.sock", .export_name = "ab12", .disk_bytes = 1 << 30}},
          .seed = SeedDisk::kAttached,
          .network = GuestNetwork::kRestricted};
}

TEST(DomainXmlTest, IsTheGoldenText) {
  EXPECT_EQ(domain_xml(spec(), Accelerator::kTcg, 22042),
            R"(<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>atelier-7b0c6c5e-0000-4000-8000-000000000001</name>
  <uuid>7b0c6c5e-0000-4000-8000-000000000001</uuid>
  <title>CS101 &lt;template&gt; &amp; &apos;co&apos;</title>
  <metadata>
    <atelier:vm xmlns:atelier='urn:atelier:vm:1' ssh-port='22042' image-socket='/data/run/japaneast.sock' vnc-socket='/data/vms/7b0c6c5e/run/vnc.sock' disk='/data/vms/7b0c6c5e/disk.qcow2' seed='/data/vms/7b0c6c5e/seed.iso'/>
  </metadata>
  <memory unit='MiB'>4096</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='maximum'/>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' error_policy='stop' rerror_policy='stop' discard='unmap'/>
      <source file='/data/vms/7b0c6c5e/disk.qcow2'/>
      <backingStore type='network'>
        <format type='raw'/>
        <source protocol='nbd' name='ab12'>
          <host transport='unix' socket='/data/run/japaneast.sock'/>
        </source>
        <backingStore/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' error_policy='stop' rerror_policy='stop'/>
      <source file='/data/vms/7b0c6c5e/seed.iso'/>
      <backingStore/>
      <target dev='vdb' bus='virtio'/>
      <readonly/>
    </disk>
    <controller type='usb' model='none'/>
    <serial type='file'>
      <source path='/data/vms/7b0c6c5e/console.log' append='on'/>
      <target port='0'/>
    </serial>
    <channel type='unix'>
      <source mode='bind' path='/data/vms/7b0c6c5e/run/qga.sock'/>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <graphics type='vnc'>
      <listen type='socket' socket='/data/vms/7b0c6c5e/run/vnc.sock'/>
    </graphics>
    <video>
      <model type='vga'/>
    </video>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-netdev'/>
    <qemu:arg value='user,id=atelier0,restrict=on,hostfwd=tcp:127.0.0.1:22042-:22'/>
    <qemu:arg value='-device'/>
    <qemu:arg value='virtio-net-pci,netdev=atelier0,addr=0x10,romfile='/>
  </qemu:commandline>
</domain>
)");
}

TEST(DomainXmlTest, DiffersWhereTheSpecDoes) {
  VmSpec other = spec();
  other.seed = SeedDisk::kNone;
  other.network = GuestNetwork::kOpen;
  const std::string xml = domain_xml(other, Accelerator::kKvm, 22042);
  EXPECT_NE(xml.find("<domain type='kvm'"), std::string::npos);
  EXPECT_NE(xml.find("<cpu mode='host-passthrough'/>"), std::string::npos);
  EXPECT_NE(xml.find("restrict=off,"), std::string::npos);
  EXPECT_EQ(xml.find("seed.iso"), std::string::npos);
}

TEST(DomainXmlTest, HostileTextStaysText) {
  VmSpec hostile = spec();
  hostile.name = "</title><qemu:commandline/>\n\x01";
  hostile.disk.path = "/data/'/><x y='/disk";
  const std::string xml = domain_xml(hostile, Accelerator::kTcg, 22042);
  EXPECT_NE(xml.find("<title>&lt;/title&gt;&lt;qemu:commandline/&gt;  </title>"), std::string::npos);
  EXPECT_EQ(xml.find("<x y="), std::string::npos);
}

TEST(DomainXmlTest, NotesComeBackInEitherKindOfQuotes) {
  const auto notes = parse_notes(
      R"(<atelier:vm xmlns:atelier="urn:atelier:vm:1" ssh-port="22042" image-socket="/a&amp;b" disk='/d'/>)");
  ASSERT_TRUE(notes.has_value());
  EXPECT_EQ(notes->ssh_port, 22042);
  EXPECT_EQ(notes->image_socket, "/a&b");
  EXPECT_EQ(notes->disk, "/d");
  EXPECT_EQ(notes->seed, "");
  EXPECT_FALSE(parse_notes("").has_value());
  EXPECT_FALSE(parse_notes("<vm ssh-port='99999'/>").has_value());
  EXPECT_FALSE(parse_notes("<vm ssh-port='12x'/>").has_value());
}

TEST(DomainXmlTest, TheSshPortChangesInBothPlaces) {
  const std::string xml = domain_xml(spec(), Accelerator::kTcg, 22042);
  const auto moved = with_ssh_port(xml, 22042, 23000);
  ASSERT_TRUE(moved.has_value());
  EXPECT_EQ(*moved, domain_xml(spec(), Accelerator::kTcg, 23000));
  EXPECT_FALSE(with_ssh_port(xml, 22043, 23000).has_value());
}

TEST(HostPortTest, PicksOnlyFreePortsThatAreNotTaken) {
  EXPECT_EQ(pick_port(2, 1, {}), std::nullopt);
  const auto port = pick_port(30000, 30400, {});
  ASSERT_TRUE(port.has_value());
  EXPECT_EQ(pick_port(*port, *port, {*port}), std::nullopt);
}

}  // namespace
}  // namespace atelier::vm
