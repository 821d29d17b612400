#!/usr/bin/env python3
"""A stranger reads an image back: a disk goes in with `atelier store put` and comes out with read_image.py alone.

usage: read_image_test.py ATELIER
"""

import random
import subprocess
import sys
import tempfile
from pathlib import Path

import xxhash

import read_image

MIB = 1 << 20


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} gave {done.returncode}: {done.stderr}")
    return done.stdout


def make_disk(path):
    """A disk that makes each rule of the cutting end some chunk: a file system, a segment that is a hole, data over a
    segment's end, data without a mark, random data, a last grain of 512 bytes. Four segments, the last one short."""
    files = path.with_name("files")
    files.mkdir()
    source = random.Random(20260101)
    for number in range(60):
        length = source.choice((0, 10, 511, 4000, 4096, 5000, 40000, 200000))
        (files / f"{number}").write_bytes((b"line %d of a text\n" % number) * (length // 18) + b"\n" * (length % 18))
    with open(path, "wb") as disk:
        disk.truncate(32 * MIB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", files, path)
    no_mark = next(grain for grain in iter(lambda: source.randbytes(4096), None)
                   if xxhash.xxh3_64_intdigest(grain, 0) % 32 != 0 and any(grain[-32:]))
    with open(path, "r+b") as disk:
        disk.truncate(3 * 64 * MIB + 5 * 4096 + 512)
        for offset, data in ((40 * MIB, no_mark * 300),                    # ends at 512 KiB
                             (64 * MIB - 20480, source.randbytes(40960)),  # ends with the segment
                             (70 * MIB, source.randbytes(3 * MIB)),        # ends at marked grains
                             (192 * MIB + 4096, source.randbytes(16384 + 512))):
            disk.seek(offset)
            disk.write(data)


def check_cutting(stretches):
    sizes = {size for size, chunk_id in stretches if chunk_id is not None}
    assert 524288 in sizes, "no chunk is as long as a chunk can be"
    assert len([size for size in sizes if 16384 < size < 524288]) > 10, "no chunks end at marked grains"
    assert 4096 in sizes, "no chunk ends after one grain"
    assert (64 * MIB, None) in stretches, "no segment is a hole"
    assert any(size % 4096 for size in sizes), "no chunk ends with the disk's short last grain"


def expect_refused(store, what):
    try:
        read_image.Store(store).records()
    except Exception:  # whichever check found it first
        return
    raise AssertionError(f"the reader did not notice {what}")


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def main():
    atelier = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="atelier-format-") as folder:
        folder = Path(folder)
        disk, out, store = folder / "disk.raw", folder / "out.raw", folder / "store"
        make_disk(disk)
        run(atelier, "store", "init", store)
        root = run(atelier, "store", "put", store, disk, "--label", "日本語 \"quoted\"").strip()

        reader = read_image.Store(store)
        records = reader.records()
        assert list(records) == [root] and records[root]["label"] == "日本語 \"quoted\"", records
        stretches = reader.write(root, out)
        assert subprocess.run(["cmp", disk, out]).returncode == 0, "the reader's disk is another"

        # The page also says how a disk is cut: cutting it again must give the same chunks and the same root.
        again, cuts = read_image.root_of(disk)
        check_cutting(cuts)
        assert cuts == stretches, "the page's cutting gives other chunks"
        assert again == root, f"the page's cutting gives root {again}, the store has {root}"
        data_bytes = sum(size for size, chunk_id in cuts if chunk_id is not None)
        assert records[root]["dataBytes"] == data_bytes and records[root]["diskBytes"] == disk.stat().st_size

        # And a reader that checked nothing would pass all of the above.
        pack = next(store.glob("packs/*/*"))
        for path, offset in ((pack, 8), (pack, pack.stat().st_size - 40), (store / "images" / root, 20)):
            flip(path, offset)
            expect_refused(store, f"a flipped bit at {offset} of {path.name}")
            flip(path, offset)
        print(f"{len(stretches)} stretches read back and cut again, root {root}")


if __name__ == "__main__":
    main()
