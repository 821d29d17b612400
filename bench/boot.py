"""How long a guest takes to boot from one of our images, against the same disk as a raw file; what a class of VMs reads of
the store; and what the boot trace gains.

    boot.py [--disk RAW] [--ready TEXT] [--rounds N] [--vms N] [--delay-ms N] [--folder DIR] [--json]

Without --disk the tiny Linux image is built (packaging/tiny-image); boots run under QEMU's own emulation, one CPU each.
--delay-ms makes each read of a pack take so much longer, as a store on the network does: there read-ahead and the trace
show. Rows are measured in turn, round by round; of the rounds the best counts. Needs the release build (./dev build)."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PLUGIN = REPOSITORY / "build/bin/nbdkit-atelier-plugin.so"
ATELIER = REPOSITORY / "build/bin/atelier"
BOOT_SECONDS_MAX = 900


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout.decode()


def drop_caches():
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        sys.exit("boot.py: run it as root: it drops the page cache for the cold rows")


class Server:
    """nbdkit with the plugin on a store. Ends with the block."""

    def __init__(self, bench, *parameters, delay_ms=0):
        self.socket = bench.folder / "nbd.sock"
        self.stats_file = bench.folder / "stats"
        self.root = bench.root
        for left_over in (self.socket, self.stats_file):
            left_over.unlink(missing_ok=True)
        command = ["nbdkit", "-f", "-r", "-t", "8", "-U", self.socket, PLUGIN, f"store={bench.store}",
                   f"stats={self.stats_file}", *parameters]
        if delay_ms:
            packs = [path for path in bench.store.glob("packs/*/*")]
            command = ["strace", "-f", "-o", "/dev/null", *[word for pack in packs for word in ("-P", pack)],
                       "-e", "trace=pread64", "-e", f"inject=pread64:delay_enter={delay_ms * 1000}"] + command
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stderr=(bench.folder / "nbdkit.log").open("ab"), start_new_session=True)
        deadline = time.monotonic() + 60
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"boot.py: nbdkit does not serve; see {bench.folder / 'nbdkit.log'}")
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()

    def stats(self):
        """The counts, when the server is ended."""
        self.end()
        return json.loads(self.stats_file.read_text())

    def backing(self):
        return "json:" + json.dumps({"driver": "raw", "file": {"driver": "nbd", "export": self.root,
                                                               "server": {"type": "unix", "path": str(self.socket)}}})


class Guest:
    """One VM on a new overlay, without a network."""

    def __init__(self, folder, backing, memory_mib):
        folder.mkdir(parents=True)
        self.console = folder / "console"
        disk = folder / "disk.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing, disk)
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-cpu", "max", "-m", str(memory_mib), "-nodefaults",
             "-display", "none", "-drive", f"file={disk},if=virtio,format=qcow2", "-serial", f"file:{self.console}",
             "-device", "virtio-rng-pci", "-no-reboot"], stdin=subprocess.DEVNULL)

    def is_ready(self, text):
        return self.console.exists() and text in self.console.read_bytes()

    def end(self):
        self.process.kill()
        self.process.wait()


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.ready = options.ready.encode()
        self.count = 0
        self.disk = folder / "disk.raw"
        if options.disk:
            run("cp", "--sparse=always", options.disk, self.disk)
        else:
            run(REPOSITORY / "packaging/tiny-image/build.sh", self.disk, "specialized")
        self.store = folder / "store"
        self.cache = folder / "cache"
        run(ATELIER, "store", "init", self.store)
        self.root = json.loads(run(ATELIER, "--output", "json", "store", "put", self.store, self.disk))["root"]

    def boot(self, backing, vms=1):
        """Seconds until every one of the VMs is ready."""
        self.count += 1
        folder = self.folder / f"vms{self.count}"
        guests = [Guest(folder / str(i), backing, self.options.memory_mib) for i in range(vms)]
        waiting = list(guests)
        try:
            while waiting:
                if time.monotonic() - guests[0].begin > BOOT_SECONDS_MAX or waiting[0].process.poll() is not None:
                    sys.exit(f"boot.py: a guest does not come up; see {waiting[0].console}")
                waiting = [guest for guest in waiting if not guest.is_ready(self.ready)]
                time.sleep(0.01)
            return time.monotonic() - guests[0].begin
        finally:
            for guest in guests:
                guest.end()
            shutil.rmtree(folder, ignore_errors=True)

    def raw(self, is_cold):
        if is_cold:
            drop_caches()
        return self.boot(str(self.disk)), {}

    def served(self, *parameters, is_cold, trace, vms=1, delay_ms=0):
        trace_file = self.store / "traces" / self.root
        if trace == "none" and trace_file.exists():
            trace_file.unlink()
        if trace == "replay" and not trace_file.exists():
            with Server(self, "trace=on") as server:
                self.boot(server.backing())
            if not trace_file.exists():
                sys.exit("boot.py: the first boot left no trace")
        if is_cold:
            self.cache.unlink(missing_ok=True)
            drop_caches()
        with Server(self, f"cache-file={self.cache}", f"trace={'on' if trace == 'replay' else 'off'}", *parameters,
                    delay_ms=delay_ms) as server:
            seconds = self.boot(server.backing(), vms)
            return seconds, server.stats()


def rows(bench, options):
    """Name, what it is compared with, and how to measure it."""
    yield "raw file, cold", None, lambda: bench.raw(True)
    yield "plugin, cold, no trace", "raw file, cold", lambda: bench.served(is_cold=True, trace="none")
    yield "plugin, cold, trace", "raw file, cold", lambda: bench.served(is_cold=True, trace="replay")
    yield "raw file, warm", None, lambda: bench.raw(False)
    yield "plugin, warm cache file", "raw file, warm", lambda: bench.served(is_cold=False, trace="replay")
    if options.delay_ms:
        delayed = {"is_cold": True, "delay_ms": options.delay_ms}
        yield ("slow store, nothing ahead", None,
               lambda: bench.served("read-ahead-mib=0", trace="none", **delayed))
        yield ("slow store, read-ahead", "slow store, nothing ahead", lambda: bench.served(trace="none", **delayed))
        yield ("slow store, read-ahead and trace", "slow store, nothing ahead",
               lambda: bench.served(trace="replay", **delayed))


def measure(bench, options):
    results = {}
    for _ in range(options.rounds):
        for name, against, job in rows(bench, options):
            seconds, stats = job()
            best = results.get(name)
            if best is None or seconds < best["seconds"]:
                results[name] = {"seconds": seconds, "against": against, "stats": stats}
    if options.vms:
        for count in (1, options.vms):
            seconds, stats = bench.served(is_cold=True, trace="none", vms=count)
            results[f"{count} VMs together, cold"] = {"seconds": seconds, "against": None, "stats": stats}
    for result in results.values():
        if result["against"]:
            result["ratio"] = result["seconds"] / results[result["against"]]["seconds"]
    if options.vms:
        one, many = results["1 VMs together, cold"], results[f"{options.vms} VMs together, cold"]
        many["storeReadRatio"] = many["stats"]["storeChunks"] / one["stats"]["storeChunks"]
        many["storeByteRatio"] = many["stats"]["storeBytes"] / one["stats"]["storeBytes"]
    return results


def report(results):
    print(f"{'':34} {'seconds':>8} {'ratio':>6} {'store chunks':>12} {'store reads':>11} {'MiB':>7}")
    for name, result in results.items():
        stats = result["stats"]
        ratio = f"{result['ratio']:.2f}" if "ratio" in result else ""
        read = (f"{stats['storeChunks']:12} {stats['storeReads']:11} {stats['storeBytes'] / 2**20:7.1f}" if stats else "")
        print(f"{name:34} {result['seconds']:8.2f} {ratio:>6} {read}")
        if "storeReadRatio" in result:
            print(f"{'':34} store reads of one VM x {result['storeReadRatio']:.3f} (bytes x {result['storeByteRatio']:.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disk", type=Path, help="a raw disk that boots with a serial console; default: the tiny image")
    parser.add_argument("--ready", default="LAB-READY", help="what the guest says on its console when it is up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vms", type=int, default=30, help="started together; 0 leaves that out")
    parser.add_argument("--memory-mib", type=int, default=128)
    parser.add_argument("--delay-ms", type=int, default=20, help="of each read of a pack in the slow rows; 0 leaves them out")
    parser.add_argument("--folder", type=Path, help="where the disks are measured; default: the temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not PLUGIN.exists() or not ATELIER.exists():
        sys.exit("boot.py: build first: ./dev build")
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="atelier-boot-") as folder:
        results = measure(Bench(options, Path(folder)), options)
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        report(results)


if __name__ == "__main__":
    main()
