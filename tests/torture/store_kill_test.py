#!/usr/bin/env python3
"""Kills `atelier store put` with SIGKILL at its Nth fsync, rename, write ... and looks at what is left.

After each kill: `verify` is clean, the image acknowledged before reads back bit by bit, the image that was being
written is either whole or not there, and putting it again gives the same root.

usage: store_kill_test.py ATELIER [KILLS_PER_SYSTEM_CALL]
"""

import collections
import filecmp
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

SYSCALLS = ["fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat",
            "ftruncate", "mkdir", "mkdirat", "write", "pwrite64", "writev", "pwritev", "msync"]
MIB = 1 << 20
# LeakSanitizer cannot work in a traced process.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def run(*command, check=True):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT, timeout=100)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} gave {done.returncode}: {done.stderr}")
    return done


def make_disk(path, pieces, size):
    """A raw disk with a partition table's signature and random bytes at some places."""
    with open(path, "wb") as file:
        file.truncate(size)
        for seed, offset, length in pieces:
            file.seek(offset)
            file.write(random.Random(seed).randbytes(length))
        file.seek(440)
        file.write(bytes(70) + b"\x55\xaa")


def calls_by_name(trace):
    """The largest number of calls that one thread made of each system call: strace counts by thread."""
    by_thread = collections.Counter()
    for line in trace.read_text().splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match:
            by_thread[match.groups()] += 1
    counts = collections.Counter()
    for (_, name), count in by_thread.items():
        counts[name] = max(counts[name], count)
    return counts


def spread(count, wanted):
    """At most `wanted` numbers from 1 to count, the first and the last among them."""
    if count <= wanted:
        return list(range(1, count + 1))
    return sorted({1 + round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})


class Torture:
    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.fresh = folder / "fresh"
        self.store = folder / "store"
        self.known, self.disk = folder / "known.raw", folder / "disk.raw"
        make_disk(self.known, [(1, 0, 3 * MIB), (2, 40 * MIB, 2 * MIB)], 72 * MIB)
        make_disk(self.disk, [(1, 0, 3 * MIB), (3, 20 * MIB, 35 * MIB), (4, 66 * MIB, MIB)], 72 * MIB)  # more than one pack
        run(program, "store", "init", self.fresh)
        self.known_root = self.put(self.fresh, self.known)
        # The root that the disk must get, from a store of its own.
        run(program, "store", "init", self.store)
        self.disk_root = self.put(self.store, self.disk)

    def put(self, store, disk):
        return run(self.program, "store", "put", store, disk).stdout.strip()

    def start_over(self):
        shutil.rmtree(self.store)
        shutil.copytree(self.fresh, self.store)

    def count_calls(self):
        self.start_over()
        trace = self.folder / "trace"
        names = ",".join("?" + name for name in SYSCALLS)
        run("strace", "-f", "-o", trace, "-e", f"trace={names}", self.program, "store", "put", self.store, self.disk)
        return calls_by_name(trace)

    def must_be(self, root, disk):
        out = self.folder / "out.raw"
        run(self.program, "store", "get", self.store, root, out)
        assert filecmp.cmp(out, disk, shallow=False), f"image {root} has other bytes than {disk.name}"

    def kill_at(self, name, number):
        """True when the kill came before the image was acknowledged."""
        self.start_over()
        done = run("strace", "-f", "-o", "/dev/null", "-e", f"trace={name}", "-e",
                   f"inject={name}:signal=KILL:when={number}", self.program, "store", "put", self.store, self.disk,
                   check=False)
        was_acknowledged = done.stdout.strip() == self.disk_root
        assert was_acknowledged or done.returncode != 0, f"put gave {done.returncode} and printed {done.stdout!r}"

        run(self.program, "store", "verify", self.store)
        self.must_be(self.known_root, self.known)
        got = run(self.program, "store", "get", self.store, self.disk_root, self.folder / "out.raw", check=False)
        if got.returncode == 0:
            self.must_be(self.disk_root, self.disk)
        else:
            assert got.returncode == 3, f"get gave {got.returncode}: {got.stderr}"
            assert not was_acknowledged, "an acknowledged image is gone"
        again = self.put(self.store, self.disk)
        assert again == self.disk_root, f"the second put gave {again}"
        self.must_be(self.disk_root, self.disk)
        run(self.program, "store", "verify", self.store)
        return not was_acknowledged


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    per_call = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    with tempfile.TemporaryDirectory(prefix="atelier-torture-") as folder:
        torture = Torture(str(program), pathlib.Path(folder))
        counts = torture.count_calls()
        assert counts["fsync"] + counts["fdatasync"] >= 3, f"nothing is made durable? {dict(counts)}"
        cases = [(name, number) for name, count in sorted(counts.items()) for number in spread(count, per_call)]
        cut_short = 0
        for name, number in cases:
            try:
                cut_short += torture.kill_at(name, number)
            except AssertionError as error:
                sys.exit(f"killed at {name} number {number} of {counts[name]}: {error}")
        print(f"{len(cases)} kills at {dict(counts)}: {cut_short} before the image was acknowledged, nothing lost")
        assert cut_short >= len(cases) // 2, "most kills must come in the middle of the work"


if __name__ == "__main__":
    main()
