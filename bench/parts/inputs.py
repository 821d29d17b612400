"""The disks that the measurements read: made once, from Debian packages, kept in a folder.

b   a Debian server; ext4, 8 GiB, packed with `mke2fs -d`
c   b after a teacher's small change: packages installed and removed, files edited, logs, a database written in place
d   another server with other packages, installed onto its own mounted ext4
x   the tree of b copied to XFS
n   the tree of b copied to NTFS
b40 and overlay   b on a disk of 40 GiB, and a qcow2 on it with 60 MiB written; o40 is what the guest sees

All are sparse raw files. The quick kind are small and need no packages from the network: only to try the scripts.
"""

import os
import random
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
DISK_BYTES = 8 * GIB
DATA_BYTES_MIN = 1 * GIB
FREE_BYTES_MIN = 16 * GIB
OVERLAY_BYTES = 60 * MIB
NAMES = ("b", "c", "d", "x", "n", "b40", "o40")

BASE = ("systemd-sysv,udev,dbus,ifupdown,iproute2,openssh-server,sudo,less,locales,man-db,linux-image-cloud-amd64,python3,cron,"
        "rsyslog")
SERVER = BASE + ",build-essential,gdb,git,vim,curl,rsync,tmux,nginx,postgresql,default-jdk-headless,python3-scipy,cmake"
OTHER = BASE + ",build-essential,apache2,mariadb-server,php,golang-go,emacs-nox,ruby,python3-numpy,git"
TEACHERS = "htop,sqlite3,python3-pandas"  # installed into c
TEACHER_REMOVES = "gdb"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} gave {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def sparse_copy(source, target, size=None):
    run("cp", "--sparse=always", "--reflink=auto", source, target)
    if size:
        os.truncate(target, size)


@contextmanager
def mounted(disk, folder, *options):
    folder.mkdir(exist_ok=True)
    run("mount", *options, disk, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def apt_sources():
    """The machine's own Debian sources, as mmdebstrap takes them."""
    found = [path for path in map(Path, ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"))
             if path.is_file() and path.stat().st_size > 0]
    if not found:
        raise RuntimeError("No Debian package source is configured on this machine.")
    return found


def debootstrap(target, packages, *hooks):
    release = dict(line.rstrip().split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}
    run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io", "--skip=check/empty",
        f"--include={packages}", *hooks, release["VERSION_CODENAME"], target, *apt_sources(),
        env=environment)


def make_ext4(disk, tree, size, seed):
    uuid = f"00000000-0000-4000-8000-{seed:012d}"
    with open(disk, "wb") as file:
        file.truncate(size)
    source = ("-d", tree) if tree else ()
    run("mke2fs", "-q", "-F", "-t", "ext4", "-U", uuid, "-E", f"hash_seed={uuid}", *source, disk,
        env={**os.environ, "E2FSPROGS_FAKE_TIME": "1767225600"})


# -- what a teacher does ----------------------------------------------------------------------------------------------

def write_in_place(path, pieces, piece_bytes, seed):
    source = random.Random(seed)
    size = path.stat().st_size
    with open(path, "r+b") as file:
        for _ in range(pieces):
            file.seek(source.randrange(size // piece_bytes) * piece_bytes)
            file.write(source.randbytes(piece_bytes))


def edit_tree(tree, seed=3):
    """Files edited, logs grown, a database written in place: about 30 MiB of blocks."""
    source = random.Random(seed)
    for path in sorted(path for path in (tree / "etc").rglob("*.conf") if path.is_file() and not path.is_symlink())[:40]:
        text = path.read_bytes()
        path.unlink()  # an editor writes a new file
        path.write_bytes(b"# changed for the course\n" + text)
    log = tree / "var/log/syslog"
    with open(log, "ab") as file:
        for number in range(60000):
            file.write(b"Jan  1 00:00:%02d server course[%d]: lesson %d of %x\n" % (number % 60, number, number % 17,
                                                                                  source.getrandbits(64)))
    database = tree / "var/lib/course.db"
    if database.exists():
        write_in_place(database, 1500, 8192, seed)
    notebook = tree / "home/notebook.ipynb"
    notebook.write_bytes(b"".join(b'{"cell": %d, "value": "%x"},\n' % (n, source.getrandbits(96)) for n in range(120000)))


def teacher_changes(tree, packages_folder):
    (tree / "tmp/debs").mkdir(exist_ok=True)
    for package in packages_folder.glob("*.deb"):
        shutil.copy(package, tree / "tmp/debs")
    run("mount", "--bind", "/proc", tree / "proc")
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        run("chroot", tree, "sh", "-c", f"dpkg -i /tmp/debs/*.deb && rm -r /tmp/debs && dpkg -r {TEACHER_REMOVES}", env=environment)
    finally:
        run("umount", tree / "proc")
    edit_tree(tree)


# -- the disks --------------------------------------------------------------------------------------------------------

def database_file(tree):
    """24 MiB of what looks like a database to the compressor."""
    source = random.Random(7)
    words = [source.randbytes(48) for _ in range(4000)]
    path = tree / "var/lib/course.db"
    with open(path, "wb") as file:
        for _ in range(24 * MIB // 96):
            file.write(source.choice(words) + source.randbytes(16) + bytes(32))


def real_trees(folder):
    tree = folder / "tree"
    debs = folder / "debs"
    debs.mkdir(exist_ok=True)
    # Downloaded now, installed into c later: what changes c needs no network.
    hook = ('--customize-hook=rm -f "$1"/var/cache/apt/archives/*.deb; APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" '
            f'apt-get -q -y --no-install-recommends --download-only install {TEACHERS.replace(",", " ")} && cp "$1"/var/cache/apt/archives/*.deb {debs} && '
            'rm -f "$1"/var/cache/apt/archives/*.deb')
    say("installing the server's tree")
    debootstrap(tree, SERVER, hook)
    database_file(tree)
    return tree


def copy_tree(source, target):
    # No owners: NTFS has none without a mapping.
    run("cp", "-dR", "--preserve=timestamps,links", f"{source}/.", target)


def make_xfs(folder, tree, disk):
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    run("mkfs.xfs", "-q", disk)
    with mounted(disk, folder / "mount", "-o", "loop") as target:
        run("cp", "-a", f"{tree}/.", target)


def make_ntfs(folder, tree, disk):
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    run("mkntfs", "-q", "-Q", "-F", disk)
    target = folder / "mount"
    target.mkdir(exist_ok=True)
    run("ntfs-3g", disk, target)
    try:
        copy_tree(tree, target)
    finally:
        run("umount", target)


def make_overlay(folder, disk_bytes, overlay_bytes):
    """Real data of the other disk written at places of the first, in pieces from 4 KiB to 1 MiB."""
    base, overlay, seen = folder / "b40.raw", folder / "overlay.qcow2", folder / "o40.raw"
    sparse_copy(folder / "b.raw", base, disk_bytes)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base.name, "-F", "raw", overlay, cwd=folder)
    source, commands, left = random.Random(40), [], overlay_bytes
    span = os.path.getsize(folder / "d.raw") // 4096
    piece_file = folder / "pieces"
    piece_file.mkdir(exist_ok=True)
    with open(folder / "d.raw", "rb") as other:
        while left > 0:
            size = min(left, source.choice((4096, 65536, 65536, MIB)))
            place = source.randrange(span - size // 4096) * 4096
            other.seek(place)
            data = other.read(size)
            if data.count(0) > size // 2:
                continue
            piece = piece_file / f"{len(commands)}"
            piece.write_bytes(data)
            commands += [f"write -q -s {piece} {place} {size}"]
            left -= size
    for at in range(0, len(commands), 100):
        run("qemu-io", "-f", "qcow2", *[word for command in commands[at:at + 100] for word in ("-c", command)], overlay)
    shutil.rmtree(piece_file)
    run("qemu-img", "convert", "-O", "raw", overlay, seen)


def remove_tree(tree):
    """Unless something is mounted in it, left by an installation that was killed: that must not be emptied."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    left = [mount for mount in mounts if mount.startswith(f"{tree}/")]
    if left:
        raise RuntimeError(f"Unmount these first, then start again: {' '.join(left)}")
    shutil.rmtree(tree, ignore_errors=True)


def data_bytes(path):
    return os.stat(path).st_blocks * 512


def make_real(folder):
    if shutil.disk_usage(folder).free < FREE_BYTES_MIN:
        raise RuntimeError(f"The inputs need {FREE_BYTES_MIN >> 30} GiB free; use --inputs for another place.")
    tree = folder / "tree"
    if not (folder / "b.raw").exists():
        remove_tree(tree)
        real_trees(folder)
        make_ext4(folder / "b.new", tree, DISK_BYTES, 1)
        os.rename(folder / "b.new", folder / "b.raw")
    if not (folder / "c.raw").exists():
        say("changing the server as a teacher does")
        sparse_copy(folder / "b.raw", folder / "c.new")
        with mounted(folder / "c.new", folder / "mount", "-o", "loop") as target:
            teacher_changes(target, folder / "debs")
        os.rename(folder / "c.new", folder / "c.raw")
    for name, make in (("x", make_xfs), ("n", make_ntfs)):
        if not (folder / f"{name}.raw").exists():
            say(f"copying the tree to {name}")
            make(folder, tree, folder / f"{name}.new")
            os.rename(folder / f"{name}.new", folder / f"{name}.raw")
    if not (folder / "d.raw").exists():
        say("installing the other server")
        make_ext4(folder / "d.new", None, DISK_BYTES, 2)
        with mounted(folder / "d.new", folder / "mount", "-o", "loop") as target:
            debootstrap(target, OTHER)
            run("fstrim", target)  # the downloaded packages, deleted again, are no part of a server's disk
        os.rename(folder / "d.new", folder / "d.raw")
    if not (folder / "o40.raw").exists():
        say("writing into the overlay")
        make_overlay(folder, 40 * GIB, OVERLAY_BYTES)
    for name in ("b", "c", "d", "x", "n"):
        if data_bytes(folder / f"{name}.raw") < DATA_BYTES_MIN:
            raise RuntimeError(f"Disk {name} has less than {DATA_BYTES_MIN >> 20} MiB of data.")
    remove_tree(tree)
    shutil.rmtree(folder / "debs")


def make_quick(folder):
    """The same disks from a tree of this machine, a hundredth of the size."""
    size = 256 * MIB
    tree = folder / "tree"
    if (folder / "o40.raw").exists():
        return
    shutil.rmtree(tree, ignore_errors=True)
    for place in ("etc", "var/log", "var/lib", "home", "usr/share"):
        (tree / place).mkdir(parents=True)
    (tree / "etc/one.conf").write_text("one\n" * 100)
    for source in ("/usr/share/perl", "/usr/share/bash-completion", "/usr/lib/python3"):
        if os.path.isdir(source):
            run("cp", "-a", source, tree / "usr/share")
    database_file(tree)
    make_ext4(folder / "b.raw", tree, size, 1)
    with_change = folder / "tree2"
    shutil.rmtree(with_change, ignore_errors=True)
    run("cp", "-a", tree, with_change)
    edit_tree(with_change)
    make_ext4(folder / "c.raw", with_change, size, 1)
    run("cp", "-a", "/usr/lib/python3.11/asyncio", with_change / "usr/share")
    make_ext4(folder / "d.raw", with_change, size, 2)
    for name in ("x", "n"):
        make_ext4(folder / f"{name}.raw", tree, size, 3)
    make_overlay(folder, 2 * GIB, 4 * MIB)


def ensure(folder, is_quick):
    """The folder with all inputs; name → path."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "inputs.done"
    if not done.exists():
        if os.geteuid() != 0:
            raise RuntimeError("Making the inputs needs root (chroot and loop mounts).")
        (make_quick if is_quick else make_real)(folder)
        for name in NAMES:
            disk = folder / f"{name}.raw"
            say(f"{name}: {os.path.getsize(disk) >> 20} MiB, {data_bytes(disk) >> 20} MiB of data")
        done.write_text("1\n")
    return {name: folder / f"{name}.raw" for name in NAMES} | {"overlay": folder / "overlay.qcow2"}


if __name__ == "__main__":
    ensure(Path(sys.argv[1]).resolve(), "--quick" in sys.argv)
