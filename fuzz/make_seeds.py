#!/usr/bin/env python3
"""Makes the fuzzers' seeds: real disk files of each format by QEMU's tool, as disk_file_fuzz.cpp reads them.

Usage: make_seeds.py FOLDER: writes FOLDER/vhdx/… and so on, and all of them once more into FOLDER/inspect.
"""

import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

OPTIONS = {
    "qcow2": ["-O qcow2", "-O qcow2 -o compat=0.10,cluster_size=4k", "-O qcow2 -o extended_l2=on", "-c -O qcow2",
              "-c -O qcow2 -o compression_type=zstd,cluster_size=4k"],
    "vhd": ["-O vpc -o subformat=dynamic,force_size=on", "-O vpc -o subformat=fixed,force_size=on", "-O vpc"],
    "vhdx": ["-O vhdx -o block_size=1M,log_size=1M", "-O vhdx -o subformat=fixed,block_size=1M,log_size=1M"],
    "vmdk": ["-O vmdk", "-O vmdk -o subformat=streamOptimized", "-O vmdk -o zeroed_grain=on"],
    "vdi": ["-O vdi", "-O vdi -o static=on"],
    "raw": ["-O raw"],
}
SECTOR = 512
PIECE_SECTORS = 64


def encode(content):
    """The file's sectors that are not zero, in pieces."""
    sectors = [content[at:at + SECTOR] for at in range(0, len(content), SECTOR)]
    pieces = [b"\1" + struct.pack("<I", len(sectors))]
    at = 0
    while at < len(sectors):
        if not any(sectors[at]):
            at += 1
            continue
        end = at
        while end < len(sectors) and end - at < PIECE_SECTORS and any(sectors[end]):
            end += 1
        data = b"".join(sectors[at:end]).rstrip(b"\0")
        pieces.append(struct.pack("<IH", at * SECTOR, len(data)) + data)
        at = end
    return b"".join(pieces)


def main():
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        disk = bytearray(1 << 20)
        disk[510:512] = b"\x55\xaa"
        disk[300000:302000] = random.Random(1).randbytes(2000)
        raw.write_bytes(disk)
        for name, all_options in OPTIONS.items():
            for number, options in enumerate(all_options):
                made = Path(folder) / "made"
                subprocess.run(["qemu-img", "convert", "-f", "raw", *options.split(), raw, made], check=True)
                for corpus in (name, "inspect"):
                    (target / corpus).mkdir(parents=True, exist_ok=True)
                    (target / corpus / f"{name}-{number}").write_bytes(encode(made.read_bytes()))


if __name__ == "__main__":
    main()
