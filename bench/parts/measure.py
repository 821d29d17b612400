"""Runs one command and says what it took."""

import errno
import os
import subprocess
import time
from dataclasses import asdict, dataclass


@dataclass
class Sample:
    seconds: float        # until the command ended
    sync_seconds: float   # until what it wrote was on the disk as well: `sync -f`, for all alike
    cpu_seconds: float    # user and system, with children
    peak_mib: float       # resident, of the largest process
    load: float           # the machine's load average when it began: above 0.5 it was not alone

    @property
    def total(self):
        return self.seconds + self.sync_seconds

    def to_json(self):
        return {key: round(value, 4) for key, value in asdict(self).items()}


def sync(folder):
    began = time.monotonic()
    subprocess.run(["sync", "-f", str(folder)], check=True)
    return time.monotonic() - began


def measured(command, folder, environment=None, cwd=None, output=subprocess.DEVNULL):
    """Runs `command` (a list), whose files go into `folder`. Returns the sample and, with output=PIPE, what it printed."""
    sync(folder)
    load = os.getloadavg()[0]
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE,
                               env={**os.environ, **(environment or {})}, cwd=cwd)
    printed = process.stdout.read() if process.stdout else b""
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} gave {process.returncode}: {errors.decode(errors='replace')[-2000:]}")
    sample = Sample(seconds, sync(folder), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, load)
    return sample, printed.decode()


def can_drop_caches():
    return os.access("/proc/sys/vm/drop_caches", os.W_OK)


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


def data_ranges(descriptor, size):
    at = 0
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        at = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, at


def warm(path):
    """Brings a file's data, or all files' of a folder, into the page cache; holes are left alone."""
    for file in ([path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            for begin, end in data_ranges(descriptor, os.fstat(descriptor).st_size):
                while begin < end:
                    begin += len(os.pread(descriptor, min(1 << 20, end - begin), begin)) or end
        finally:
            os.close(descriptor)


def apparent_bytes(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def best(samples):
    return min(samples, key=lambda sample: sample["seconds"] + sample["sync_seconds"])


def median_seconds(samples):
    ordered = sorted(sample["seconds"] + sample["sync_seconds"] for sample in samples)
    return ordered[len(ordered) // 2]
