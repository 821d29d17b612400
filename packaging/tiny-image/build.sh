#!/bin/bash
# Makes a very small real Linux disk image from installed Debian packages: boots in seconds under plain emulation, takes
# a NoCloud seed, runs an ssh server, obeys the power button.
#
#   build.sh OUT.qcow2|OUT.raw [generalized|specialized] [with-agent|without-agent]
#
# generalized (default): no machine-id, host name, ssh host key or user: they are made at first boot, from the seed where
#   it says so.
# specialized: has all of them (user student, password lab), like a disk that somebody has worked on.
# with-agent (default): QEMU's guest agent runs, so that the host can freeze the file systems for a moment.
#
# Needs no mount and no loop device; run it as root or under fakeroot. Equal packages give an equal generalized disk, but for
# time stamps.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 3 ]; then sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
out=$1
kind=${2:-generalized}
agent=${3:-with-agent}
case $kind in generalized | specialized) ;; *) echo "build.sh: unknown kind '$kind'" >&2; exit 2 ;; esac
case $agent in with-agent | without-agent) ;; *) echo "build.sh: unknown word '$agent'" >&2; exit 2 ;; esac
case $out in *.qcow2 | *.raw) ;; *) echo "build.sh: the output must end in .qcow2 or .raw" >&2; exit 2 ;; esac
if [ "$(id -u)" != 0 ]; then echo "build.sh: run it as root or under fakeroot, for the owners of files" >&2; exit 2; fi

export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1700000000 E2FSPROGS_FAKE_TIME=1700000000 MTOOLS_SKIP_CHECK=1
PATH=$PATH:/usr/sbin:/sbin
umask 022
source_dir=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The disk: master boot record; FAT with the boot loader, kernel and initramfs; ext4 with the system.
disk_sectors=$((512 * 2048)) # 512 MiB, nearly all of it hole
boot_start=2048 boot_sectors=45056
root_start=$((boot_start + boot_sectors)) root_sectors=$((disk_sectors - root_start))

kernel_release=$(find /lib/modules -mindepth 1 -maxdepth 1 -name '*-cloud-*' -printf '%f\n' | sort -V | tail -n 1)
if [ -z "$kernel_release" ]; then echo "build.sh: no cloud kernel is installed (linux-image-cloud-amd64)" >&2; exit 1; fi
kernel_modules=/lib/modules/$kernel_release/kernel

# copy_module TARGET_DIR MODULE...   modules may be compressed
copy_module() {
  local target=$1 module file
  shift
  for module; do
    file=$(echo "$kernel_modules/$module".ko*)
    case $file in
      *.ko.xz) xz -dc "$file" >"$target/$(basename "$module").ko" ;;
      *) cp "$file" "$target/" ;;
    esac
  done
}

copy_libraries_of() {
  ldd "$1" | awk '/=> \//{print $3}' | while read -r library; do cp -L "$library" "$work/root/lib/x86_64-linux-gnu/"; done
}

make_root() {
  local root=$work/root applet file
  mkdir -p "$root"/{bin,sbin,dev,proc,sys,run,mnt,root,home,tmp,lib64,usr/bin,usr/sbin} \
    "$root"/etc/{dropbear,init.d,acpi/PWRF} "$root"/var/{log,lib/cloud/data,lib/dpkg/info,cache} \
    "$root/lib/x86_64-linux-gnu" "$root/lib/modules/$kernel_release"
  chmod 1777 "$root/tmp"
  chmod 700 "$root/root"
  cp /bin/busybox "$root/bin/busybox"
  for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
  for applet in init reboot poweroff halt; do ln -s ../bin/busybox "$root/sbin/$applet"; done
  cp /usr/sbin/dropbear "$root/usr/sbin/"
  cp /usr/bin/dropbearkey "$root/usr/bin/"
  copy_libraries_of /usr/sbin/dropbear
  cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
  copy_module "$root/lib/modules/$kernel_release" net/core/failover drivers/net/net_failover drivers/net/virtio_net \
    drivers/cdrom/cdrom fs/isofs/isofs drivers/input/evdev drivers/acpi/button

  if [ "$agent" = with-agent ]; then
    cp /usr/sbin/qemu-ga "$root/usr/sbin/"
    copy_libraries_of /usr/sbin/qemu-ga
    copy_module "$root/lib/modules/$kernel_release" drivers/char/virtio_console
  fi

  cc -Os -s -Wall -Wextra -Werror -ffile-prefix-map="$source_dir=." -o "$root/usr/bin/sudo" "$source_dir/sudo.c"
  chmod 4755 "$root/usr/bin/sudo"
  for file in rcS firstboot; do install -m 755 "$source_dir/$file" "$root/etc/init.d/$file"; done
  for file in generalize useradd; do install -m 755 "$source_dir/$file" "$root/usr/sbin/$file"; done
  install -m 755 "$source_dir/udhcpc.script" "$root/etc/udhcpc.script"
  install -m 644 "$source_dir/inittab" "$root/etc/inittab"
  printf '#!/bin/sh\npoweroff\n' >"$root/etc/acpi/PWRF/00000080"
  chmod 755 "$root/etc/acpi/PWRF/00000080"
  printf '/bin/sh\n' >"$root/etc/shells"
  printf 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n' >"$root/etc/profile"
  printf 'PRETTY_NAME="Atelier tiny Linux"\nNAME="Atelier tiny Linux"\nID=atelier-tiny\n' >"$root/etc/os-release"
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\nsudo:x:27:\n' >"$root/etc/group"
  printf 'root:*:19000:0:99999:7:::\n' >"$root/etc/shadow" # no password opens root; sudo does
  chmod 640 "$root/etc/shadow"
  : >"$root/var/lib/dpkg/status"
}

# What a disk has that somebody has worked on.
specialize() {
  local root=$work/root
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  echo goldenhost >"$root/etc/hostname"
  dropbearkey -t ed25519 -f "$root/etc/dropbear/host_ed25519" >/dev/null 2>&1
  echo 'student:x:1000:1000::/home/student:/bin/sh' >>"$root/etc/passwd"
  printf 'student:x:1000:\n' >>"$root/etc/group"
  sed -i 's/^sudo:.*/&student/' "$root/etc/group"
  echo "student:$(openssl passwd -6 lab):19000:0:99999:7:::" >>"$root/etc/shadow"
  mkdir -m 700 "$root/home/student"
  echo 'my notes' >"$root/home/student/notes.txt"
  chown -R 1000:1000 "$root/home/student"
}

make_initramfs() {
  local tree=$work/initramfs
  mkdir -p "$tree"/{bin,dev,proc,sys,root,modules}
  cp /bin/busybox "$tree/bin/"
  ln -s busybox "$tree/bin/sh"
  copy_module "$tree/modules" drivers/virtio/virtio drivers/virtio/virtio_ring drivers/virtio/virtio_pci_legacy_dev \
    drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci drivers/block/virtio_blk drivers/char/hw_random/virtio-rng
  install -m 755 "$source_dir/initramfs-init" "$tree/init"
  find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  (cd "$tree" && find . | sort | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -9n) >"$work/initrd"
}

make_boot_filesystem() {
  local fat=$work/fat
  truncate -s $((boot_sectors * 512)) "$fat"
  mkfs.vfat -F 16 -i 1AB0B007 -n LABBOOT --invariant "$fat" >/dev/null
  syslinux --install "$fat"
  cp "/boot/vmlinuz-$kernel_release" "$work/vmlinuz"
  printf 'DEFAULT lab\nPROMPT 0\nTIMEOUT 0\nLABEL lab\n KERNEL vmlinuz\n INITRD initrd\n APPEND %s\n' \
    'console=tty0 console=ttyS0 quiet panic=5 net.ifnames=0' >"$work/syslinux.cfg"
  touch -d "@$SOURCE_DATE_EPOCH" "$work/vmlinuz" "$work/initrd" "$work/syslinux.cfg"
  mcopy -m -i "$fat" "$work/vmlinuz" "$work/initrd" "$work/syslinux.cfg" ::/
}

make_disk() {
  local disk=$1
  truncate -s $((disk_sectors * 512)) "$disk"
  printf 'label: dos\nlabel-id: 0x1ab00001\nstart=%d,size=%d,type=6,bootable\nstart=%d,type=83\n' \
    $boot_start $boot_sectors $root_start | sfdisk -q "$disk"
  dd if=/usr/lib/syslinux/mbr/mbr.bin of="$disk" conv=notrunc bs=440 count=1 status=none
  dd if="$work/fat" of="$disk" bs=1M seek=$((boot_start / 2048)) conv=notrunc,sparse status=none
  # A journal, because power gets cut; few inodes and no lazy work, so that a first boot writes little.
  find "$work/root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  truncate -s $((root_sectors * 512)) "$work/ext4"
  mke2fs -q -F -t ext4 -b 4096 -N 8192 -L labroot -U 11111111-2222-3333-4444-555555555555 -m 0 -J size=4 \
    -E root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,hash_seed=66666666-7777-8888-9999-aaaaaaaaaaaa \
    -d "$work/root" "$work/ext4"
  dd if="$work/ext4" of="$disk" bs=1M seek=$((root_start / 2048)) conv=notrunc,sparse status=none
}

make_root
if [ "$kind" = specialized ]; then specialize; fi
make_initramfs
make_boot_filesystem
make_disk "$work/disk.raw"
rm -f "$out.part"
case $out in
  *.qcow2) qemu-img convert -q -c -f raw -O qcow2 "$work/disk.raw" "$out.part" ;;
  *.raw) cp --sparse=always "$work/disk.raw" "$out.part" ;;
esac
mv "$out.part" "$out"
