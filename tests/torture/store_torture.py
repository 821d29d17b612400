#!/usr/bin/env python3
"""Every job that changes a store, cut short or failed at its Nth durable system call, N = 1, 2, 3 ...

Jobs: put, capture, copy, gc, index rebuild. Faults: SIGKILL at the call; EIO or ENOSPC from it. After each one: fsck finds
nothing but leftovers, every image acknowledged before reads back bit by bit, the job's own image is whole or not there, and
the job done again succeeds with the right result and leaves a store that fsck and verify find clean.

usage: store_torture.py ATELIER [--points N] [--all] [--job NAME ...]
"""

import argparse
import collections
import concurrent.futures
import filecmp
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
NAMING = ["rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat"]
WRITING = ["write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate", "copy_file_range"]
SYNCING = ["fsync", "fdatasync", "msync", "syncfs", "sync_file_range"]
FAULTS = {
    "KILL": ("signal=KILL", NAMING + WRITING + SYNCING),
    "EIO": ("error=EIO", NAMING + WRITING + SYNCING),
    "ENOSPC": ("error=ENOSPC", ["rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat"] + WRITING + ["fsync"]),
}
SECONDS_MAX = 120
# LeakSanitizer cannot work in a traced process.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def run(*command, check=True):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=ENVIRONMENT, timeout=SECONDS_MAX)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command[1:]))} gave {done.returncode}: {done.stdout}{done.stderr}")
    return done


def make_disk(path, pieces, size):
    """A raw disk with a partition table's signature and random bytes at some places: (seed, offset, length)."""
    with open(path, "wb") as file:
        file.truncate(size)
        for seed, offset, length in pieces:
            file.seek(offset)
            file.write(random.Random(seed).randbytes(length))
        file.seek(440)
        file.write(bytes(70) + b"\x55\xaa")


class Fixture:
    """What all workers share and nobody changes: disks, their roots, and stores to begin from."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.disks = {name: folder / f"{name}.raw" for name in ("known", "new", "wide", "narrow", "changed")}
        size = 72 * MIB
        base = [(1, 0, 2 * MIB), (2, 66 * MIB, MIB)]
        make_disk(self.disks["known"], base, size)
        make_disk(self.disks["new"], base + [(3, 20 * MIB, 34 * MIB)], size)  # more than one pack
        make_disk(self.disks["wide"], [(4, 8 * MIB, MIB), (5, 16 * MIB, 3 * MIB)], size)
        make_disk(self.disks["narrow"], [(4, 8 * MIB, MIB)], size)  # what stays of wide's pack after a sweep
        self.roots = {}
        self.beginning = folder / "beginning"  # known, and wide's pack of which narrow uses a quarter
        self.other = folder / "other"          # where a copy comes from
        for store in (self.beginning, self.other):
            run(program, "store", "init", store)
        for name in ("known", "wide", "narrow"):
            self.roots[name] = self.put(self.beginning, name)
        self.roots["new"] = self.put(self.other, "new")
        run(program, "store", "remove", self.beginning, self.roots["wide"])
        self.overlay = folder / "overlay.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.disks["known"], self.overlay)
        for pattern, offset, length in ((7, 300 * 1024, 200 * 1024), (9, 50 * MIB, 2 * MIB), (0, 66 * MIB, 64 * 1024)):
            run("qemu-io", "-f", "qcow2", "-c", f"write -P {pattern} {offset} {length}", self.overlay)
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.overlay, self.disks["changed"])
        self.roots["changed"] = self.put(self.other, "changed")
        self.socket = folder / "nbd.sock"
        self.server = subprocess.Popen(["qemu-nbd", "-r", "-t", "--shared=16", "-f", "qcow2", "-A", "-k", str(self.socket),
                                        str(self.overlay)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self.socket.exists():
            assert self.server.poll() is None and time.monotonic() < deadline, "qemu-nbd does not serve the overlay"
            time.sleep(0.02)

    def put(self, store, name):
        return run(self.program, "store", "put", store, self.disks[name]).stdout.strip()

    def close(self):
        self.server.terminate()
        self.server.wait()


class Job:
    """One command on a store; `makes` is the image that it brings, if any."""

    def __init__(self, name, words, makes=None):
        self.name, self.words, self.makes = name, words, makes

    def command(self, fixture, store):
        place = {"STORE": store, "OTHER": fixture.other, "DISK": fixture.disks["new"], "NEW": fixture.roots["new"],
                 "KNOWN": fixture.roots["known"], "URI": f"nbd+unix:///?socket={fixture.socket}"}
        return [fixture.program, "store", *(place.get(word, word) for word in self.words)]


JOBS = {job.name: job for job in (
    Job("put", ["put", "STORE", "DISK"], makes="new"),
    Job("capture", ["capture", "STORE", "URI", "--parent", "KNOWN"], makes="changed"),
    Job("copy", ["copy", "OTHER", "STORE", "NEW"], makes="new"),
    Job("gc", ["gc", "STORE", "--force", "--keep-removed", "0", "--purge-after", "0"]),
    Job("rebuild", ["index", "rebuild", "STORE"]),
)}


def calls_of(fixture, job, folder):
    """How often the job makes each system call: the largest number of any thread, because strace counts by thread."""
    store = folder / "count"
    shutil.copytree(fixture.beginning, store)
    trace = folder / "trace"
    names = ",".join("?" + name for name in NAMING + WRITING + SYNCING)
    run("strace", "-f", "--seccomp-bpf", "-o", trace, "-e", f"trace={names}", *job.command(fixture, store))
    shutil.rmtree(store)
    by_thread = collections.Counter(match.groups() for match in re.finditer(r"^(\d+) +(\w+)\(", trace.read_text(), re.M))
    counts = collections.Counter()
    for (_, name), count in by_thread.items():
        counts[name] = max(counts[name], count)
    assert sum(counts[name] for name in SYNCING) >= 1, f"{job.name} makes nothing durable? {dict(counts)}"
    return counts


def check_image(fixture, store, name, folder, must_be_there=True):
    """The image reads back as its disk, or is cleanly absent where that is allowed."""
    out = folder / "out.raw"
    got = run(fixture.program, "store", "get", store, fixture.roots[name], out, check=False)
    if got.returncode == 0:
        assert filecmp.cmp(out, fixture.disks[name], shallow=False), f"image {name} has other bytes than its disk"
        out.unlink()
        return
    assert got.returncode == 3, f"get {name} gave {got.returncode}: {got.stderr}"
    assert not must_be_there, f"image {name} is gone"


# What the next writer or sweep tidies up.
LEFTOVERS = re.compile(r"^\.new/|^index: It has not followed the last sweep|The pack is not in the index\.$"
                       r"|The pack is in the trash and in the index\.$")


def check_structure(fixture, store):
    """fsck finds nothing but leftovers: files half written, packs that the index does not know yet or still knows."""
    found = run(fixture.program, "store", "fsck", store, check=False).stdout.splitlines()[:-1]
    wrong = [line for line in found if not LEFTOVERS.search(line)]
    assert not wrong, f"fsck found {wrong}"


def torment(fixture, job, fault, call, number, folder):
    """One fault; gives whether it cut the job short."""
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(fixture.beginning, store)
    inject = f"inject={call}:{FAULTS[fault][0]}:when={number}"
    done = run("strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject,
               *job.command(fixture, store), check=False)
    killed = done.returncode in (137, -9)
    assert not killed or fault == "KILL", f"it was killed, though only {fault} was injected"
    assert killed or 0 <= done.returncode < 126, f"it ended with {done.returncode}: {done.stderr}"
    assert done.returncode == 0 or killed or done.stderr.strip(), f"it gave {done.returncode} without a word"
    acknowledged = done.returncode == 0 or (job.makes and fixture.roots[job.makes] in done.stdout)

    check_structure(fixture, store)
    for name in ("known", "narrow"):
        check_image(fixture, store, name, folder)
    if job.makes:
        check_image(fixture, store, job.makes, folder, must_be_there=bool(acknowledged))
    again = run(*job.command(fixture, store))
    if job.makes:
        assert fixture.roots[job.makes] in again.stdout or job.name == "copy", f"done again it printed {again.stdout!r}"
        check_image(fixture, store, job.makes, folder)
    run(fixture.program, "store", "verify", store)
    run(fixture.program, "store", "fsck", store)
    check_image(fixture, store, "narrow", folder)
    return not acknowledged


def spread(values, wanted):
    """At most `wanted` of the values, the first and the last among them."""
    if len(values) <= wanted:
        return values
    return [values[round(i * (len(values) - 1) / max(1, wanted - 1))] for i in range(wanted)]


def choose_points(fixture, jobs, folder, wanted):
    """(job, fault, call, number): all of them, or about `wanted`, shared out so that rare calls are all taken."""
    rows = []
    for job in jobs:
        counts = calls_of(fixture, job, folder)
        for fault, (_, calls) in FAULTS.items():
            rows += [(job, fault, call, list(range(1, counts[call] + 1))) for call in calls if counts[call]]
    if wanted is None:
        per_row = max(len(numbers) for *_, numbers in rows)
    else:
        per_row = next(n for n in range(1, 1 << 20) if sum(min(n, len(numbers)) for *_, numbers in rows) >= wanted
                       or all(n >= len(numbers) for *_, numbers in rows))
    return [(job, fault, call, number) for job, fault, call, numbers in rows for number in spread(numbers, per_row)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--points", type=int, default=510)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--job", action="append", choices=sorted(JOBS))
    arguments = parser.parse_args()
    jobs = [JOBS[name] for name in arguments.job or JOBS]
    # In memory where there is room: no test can see whether a sync held.
    room = "/dev/shm" if shutil.disk_usage("/dev/shm").free > 2 << 30 else None
    with tempfile.TemporaryDirectory(prefix="atelier-torture-", dir=room) as name:
        folder = pathlib.Path(name)
        fixture = Fixture(str(arguments.program.resolve()), folder)
        workers = os.cpu_count() or 2
        try:
            points = choose_points(fixture, jobs, folder, None if arguments.all else arguments.points)
            queue = collections.deque(enumerate(points))
            cut_short, failures = collections.Counter(), []

            def work(number):
                own = folder / f"worker-{number}"
                own.mkdir()
                while not failures:
                    try:
                        _, (job, fault, call, count) = queue.popleft()
                    except IndexError:
                        return
                    try:
                        cut_short[job.name] += torment(fixture, job, fault, call, count, own)
                    except (AssertionError, subprocess.TimeoutExpired) as error:
                        failures.append(f"{job.name}, {fault} at {call} number {count}: {error}")

            with concurrent.futures.ThreadPoolExecutor(workers) as pool:
                for done in [pool.submit(work, number) for number in range(workers)]:
                    done.result()
        finally:
            fixture.close()
        if failures:
            sys.exit("\n".join(failures))
        print(f"{len(points)} faults: {dict(collections.Counter(f'{job.name}/{fault}' for job, fault, *_ in points))}; "
              f"cut short: {dict(cut_short)}; nothing lost")
        assert sum(cut_short.values()) >= len(points) // 4, "too few faults came in the middle of the work"


if __name__ == "__main__":
    main()
