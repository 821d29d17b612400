"""Disk files and overlays for tests: made and written without a guest."""

import json
import os
import random
import subprocess
from pathlib import Path

from server import BIN


def write_random(file, offset, length, seed):
    """`length` bytes that no compressor shrinks, the same for the same seed."""
    source = random.Random(seed)
    with open(file, "r+b") as disk:
        disk.seek(offset)
        while length > 0:
            piece = min(length, 1 << 20)
            disk.write(source.randbytes(piece))
            length -= piece


def sparse_disk(file, size, data_bytes, seed=1):
    """A raw disk of `size` bytes with a master boot record and `data_bytes` of data, spread over it in 16 places."""
    with open(file, "wb") as disk:
        disk.truncate(size)
        disk.seek(510)
        disk.write(b"\x55\xaa")
    for place in range(16):
        write_random(file, (1 << 20) + place * (size // 17 // 4096 * 4096), data_bytes // 16, f"{seed}-{place}")
    return Path(file)


def template_overlay(server):
    """The overlay of the only VM of this server, and the image server's socket below it."""
    overlays = list((server.data / "vms").glob("*/disk.qcow2"))
    if len(overlays) != 1:
        raise AssertionError(f"expected one VM, found {overlays}")
    return overlays[0]


def overlay_as_nbd(overlay):
    """qemu's own word for the overlay with its image below, as it is on the disk."""
    shown = json.loads(subprocess.run(["qemu-img", "info", "-U", "--output=json", str(overlay)], check=True, capture_output=True,
                                      text=True).stdout)
    return shown["full-backing-filename"] if "full-backing-filename" in shown else shown["backing-filename"]


def write_into_overlay(overlay, offset, length, seed):
    """What a guest would write: random bytes at an offset of the virtual disk. The VM must be stopped."""
    scratch = overlay.with_suffix(".pattern")
    scratch.write_bytes(b"")
    write_random(scratch, 0, length, seed)
    try:
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -s {scratch} {offset} {length}", str(overlay)], check=True,
                       stdout=subprocess.DEVNULL)
    finally:
        os.unlink(scratch)


def overlay_as_raw(overlay, raw):
    """The virtual disk as the guest sees it, byte by byte."""
    subprocess.run(["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", str(overlay), str(raw)], check=True)
    return raw


def store_as_raw(store, root, raw):
    subprocess.run([str(BIN / "atelier"), "store", "get", str(store), root, str(raw)], check=True, stdout=subprocess.DEVNULL)
    return raw


def verify_store(store):
    done = subprocess.run([str(BIN / "atelier"), "store", "verify", str(store)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"the store is not clean: {done.stdout}{done.stderr}")


def list_roots(store):
    listed = subprocess.run([str(BIN / "atelier"), "store", "list", str(store), "--output", "json"], check=True,
                            capture_output=True, text=True)
    return json.loads(listed.stdout)


def same_bytes(one, other):
    return subprocess.run(["cmp", str(one), str(other)]).returncode == 0
