"""What is measured: one function a job. Each takes a Bench and returns its raw figures; report.py judges them."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from parts import measure
from parts.tools import ATELIER, REPOSITORY, Atelier, peers

COLD_UNLESS_SECONDS = 25
FIXED_CHUNKS = Path(__file__).resolve().with_name("fixed_chunks.py")


class Bench:
    """Where to work and how often. `scratch` is emptied before and after."""

    def __init__(self, inputs, scratch, repetitions, are_peers_wanted):
        self.inputs = inputs
        self.scratch = scratch
        self.repetitions = repetitions
        self.are_peers_wanted = are_peers_wanted
        self.can_be_cold = measure.can_drop_caches()
        self.kept = {}  # name of a tool → folder with b stored, made when first needed
        self.kept_both = {}  # the same with b and c

    def fresh(self, name):
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def ours(self, name):
        tool = Atelier(self.fresh(name))
        tool.prepare()
        return tool

    def tools(self):
        everybody = [Atelier(self.scratch / "atelier")]
        if self.are_peers_wanted:
            everybody += peers(self.scratch)
        return everybody

    def repetitions_of(self, tool):
        return self.repetitions if tool.name == "Atelier" else 1

    def states_of(self, tool, figures):
        """Warm, then cold, one at a time: cold is left out where warm took so long that the disk does not matter."""
        yield "warm"
        slow = measure.best(figures[tool.name]["warm"])["seconds"] > COLD_UNLESS_SECONDS and tool.name != "Atelier"
        if self.can_be_cold and not slow:
            yield "cold"

    def with_first_disk(self, tool):
        """The tool's store as it is when b is in it and nothing else."""
        if tool.name not in self.kept:
            shutil.rmtree(tool.folder, ignore_errors=True)
            tool.prepare()
            tool.store(self.inputs["b"], "b")
            self.keep(tool, self.kept, ".b")
        shutil.rmtree(tool.folder, ignore_errors=True)
        subprocess.run(["cp", "-a", self.kept[tool.name], tool.folder], check=True)

    def keep(self, tool, kept, suffix):
        folder = tool.folder.with_name(tool.folder.name + suffix)
        shutil.rmtree(folder, ignore_errors=True)
        tool.folder.rename(folder)
        kept[tool.name] = folder

    def states(self):
        return ("warm", "cold") if self.can_be_cold else ("warm",)

    def set_state(self, state, *paths):
        if state == "cold":
            measure.drop_caches()
        else:
            for path in paths:
                measure.warm(path)


def add(figures, tool, state, sample, **more):
    of_tool = figures.setdefault(tool.name, {"settings": tool.settings, "deduplicates": tool.deduplicates})
    of_tool.setdefault(state, []).append(sample.to_json())
    of_tool.update(more)
    print(f"  {tool.name:28} {state:5} {sample.seconds:8.2f} s + {sample.sync_seconds:5.2f} s sync  {sample.cpu_seconds:8.2f} s CPU "
          f"{sample.peak_mib:6.0f} MiB", flush=True)


def same_bytes(one, other):
    if subprocess.run(["cmp", one, other]).returncode != 0:
        raise RuntimeError("A tool gave back other bytes than it got.")


def first(bench):
    """b into an empty store."""
    figures, disk = {}, bench.inputs["b"]
    for tool in bench.tools():
        for state in bench.states_of(tool, figures):
            for _ in range(bench.repetitions_of(tool)):
                bench.fresh(tool.folder.name)
                tool.prepare()
                bench.set_state(state, disk)
                if tool.name == "Atelier":
                    sample, record = tool.put(disk)
                    add(figures, tool, state, sample, record=record, bytes=tool.store_bytes())
                else:
                    add(figures, tool, state, tool.store(disk, "b"), bytes=tool.store_bytes())
        bench.keep(tool, bench.kept, ".b")
    return {"tools": figures}


def changed(bench):
    """c into a store that has b, by full scan."""
    figures, disk = {}, bench.inputs["c"]
    for tool in bench.tools():
        for state in bench.states_of(tool, figures):
            for _ in range(bench.repetitions_of(tool)):
                bench.with_first_disk(tool)
                bench.set_state(state, disk, tool.folder)
                if tool.name == "Atelier":
                    sample, record = tool.put(disk)
                    add(figures, tool, state, sample, record=record)
                else:
                    add(figures, tool, state, tool.store(disk, "c"))
        bench.keep(tool, bench.kept_both, ".bc")
    return {"tools": figures}


def three(bench):
    """Bytes stored for b, c and d together, and for fixed chunks of 64 KiB."""
    figures = {}
    for tool in bench.tools():
        bench.with_first_disk(tool)
        sizes = [tool.store_bytes()]
        if tool.name in bench.kept_both:
            shutil.rmtree(tool.folder)
            bench.kept_both.pop(tool.name).rename(tool.folder)
        else:
            tool.store(bench.inputs["c"], "c")
        sizes.append(tool.store_bytes())
        tool.store(bench.inputs["d"], "d")
        sizes.append(tool.store_bytes())
        figures[tool.name] = {"settings": tool.settings, "bytes": sizes[-1], "after_each": sizes}
        shutil.rmtree(tool.folder)
        print(f"  {tool.name:28} {' '.join(f'{size / 2**20:9.1f}' for size in sizes)} MiB", flush=True)
    fixed = fixed_bytes(bench, "b", "c", "d")
    print(f"  {'fixed 64 KiB':28} {sum(fixed) / 2**20:9.1f} MiB", flush=True)
    return {"tools": figures, "fixed": fixed}


def fixed_bytes(bench, *names):
    done = subprocess.run(["/usr/bin/python3", FIXED_CHUNKS, *[bench.inputs[name] for name in names]], check=True,
                          capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def cousins(bench):
    """The tree of b on XFS and on NTFS, each into a store that has b."""
    figures = {}
    for name in ("x", "n"):
        tool = Atelier(bench.scratch / "atelier")
        bench.with_first_disk(tool)
        sample, record = tool.put(bench.inputs[name])
        figures[name] = {"record": record, "sample": sample.to_json(), "fixed": fixed_bytes(bench, "b", name)[1]}
        print(f"  {name}: {record['storedBytes'] / 2**20:.1f} MiB new of {record['dataBytes'] / 2**20:.1f}", flush=True)
        shutil.rmtree(tool.folder)
    return figures


def restore(bench):
    """b out of a store that has it, as a sparse raw disk."""
    figures, disk = {}, bench.inputs["b"]
    out = bench.scratch / "out" / "restored.raw"
    for tool in bench.tools():
        bench.with_first_disk(tool)
        tag = next(iter(tool.roots())) if tool.name == "Atelier" else "b"
        for state in bench.states_of(tool, figures):
            for number in range(bench.repetitions_of(tool)):
                bench.fresh("out").mkdir()
                bench.set_state(state, tool.folder)
                add(figures, tool, state, tool.restore(tag, out))
                if number == 0:
                    same_bytes(disk, out)
        if tool.name == "Atelier":
            figures[tool.name]["record"] = tool.roots()[tag]
        shutil.rmtree(tool.folder)
    bench.fresh("out")
    return {"tools": figures}


def verify(bench):
    """Every chunk of a store with b decoded and hashed; peers by their own deepest check."""
    figures = {}
    for tool in bench.tools():
        if not tool.verifies:
            continue
        bench.with_first_disk(tool)
        for state in bench.states_of(tool, figures):
            for _ in range(bench.repetitions_of(tool)):
                bench.set_state(state, tool.folder)
                if tool.name == "Atelier":
                    sample, report = tool.json("verify", tool.folder)
                    add(figures, tool, state, sample, report=report)
                else:
                    add(figures, tool, state, tool.verify())
        shutil.rmtree(tool.folder)
    return {"tools": figures}


class OverlayServer:
    """The overlay as the product offers a stopped VM's disk: read-only, with what was written since the image."""

    def __init__(self, overlay, socket):
        self.socket = socket
        self.process = subprocess.Popen(
            ["qemu-storage-daemon", "--blockdev", f"qcow2,node-name=disk,read-only=on,file.driver=file,file.filename={overlay}",
             "--blockdev",
             json.dumps({"driver": "qcow2", "node-name": "changes", "read-only": True, "backing": None,
                         "file": {"driver": "file", "filename": str(overlay)}}),
             "--nbd-server", f"addr.type=unix,addr.path={socket},max-connections=4",
             "--export", "nbd,id=disk,node-name=disk,name=disk,writable=off,allocation-depth=on",
             "--export", "nbd,id=changes,node-name=changes,name=changes,writable=off,allocation-depth=on"], stdin=subprocess.DEVNULL)
        while not socket.exists():
            if self.process.poll() is not None:
                raise RuntimeError("qemu-storage-daemon ended at once")
            time.sleep(0.002)

    def uri(self, export="disk"):
        return f"nbd+unix:///{export}?socket={self.socket}"

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.socket.unlink(missing_ok=True)


def export(bench):
    """The overlay's 60 MiB as a new version of b40, whose image the store has. The time includes the start and the end of the
    disk's server. Peers have no such job: qemu-img packs the overlay's disk, the others read it as a raw file, beside b. Those
    that read 40 GiB of holes as data (casync, borg's default chunks) take many minutes and are left out."""
    figures, alone = {}, []
    tool = bench.ours("atelier")
    _, parent = tool.put(bench.inputs["b40"])
    kept = bench.scratch / "atelier.b40"
    shutil.rmtree(kept, ignore_errors=True)
    tool.folder.rename(kept)
    for state in bench.states():
        for _ in range(bench.repetitions):
            shutil.rmtree(tool.folder, ignore_errors=True)
            subprocess.run(["cp", "-a", kept, tool.folder], check=True)
            bench.set_state(state, bench.inputs["overlay"], tool.folder)
            began = time.monotonic()
            server = OverlayServer(bench.inputs["overlay"], bench.scratch / "overlay.sock")
            started = time.monotonic()
            try:
                sample, record = tool.json("capture", tool.folder, server.uri(), "--parent", parent["root"],
                                           "--changes", server.uri("changes"))
            finally:
                ended = time.monotonic()
                server.close()
            alone.append(sample.total)
            sample.seconds += started - began + time.monotonic() - ended
            add(figures, tool, state, sample, record=record, capture_alone=round(min(alone), 4))
    shutil.rmtree(tool.folder)
    kept.rename(tool.folder)
    scan, by_scan = tool.put(bench.inputs["o40"])
    shutil.rmtree(tool.folder)
    for peer in peers(bench.scratch) if bench.are_peers_wanted else []:
        if peer.reads_holes:
            continue
        is_qemu = not peer.deduplicates
        bench.with_first_disk(peer)  # they find most of it known, as we do
        disk = bench.inputs["overlay" if is_qemu else "o40"]
        bench.set_state("warm", bench.inputs["b40"] if is_qemu else disk)
        add(figures, peer, "warm", peer.store(disk, "o40"))
        shutil.rmtree(peer.folder)
    return {"tools": figures, "scan": scan.to_json(), "root_by_scan": by_scan["root"]}


def copy(bench):
    """c from a store that has b and c to one that has b."""
    source = Atelier(bench.scratch / "atelier")
    bench.with_first_disk(source)
    _, record = source.put(bench.inputs["c"])
    here = bench.scratch / "atelier.bc"
    shutil.rmtree(here, ignore_errors=True)
    source.folder.rename(here)
    figures, result = {}, {}
    for state in bench.states():
        for _ in range(bench.repetitions):
            bench.with_first_disk(source)
            bench.set_state(state, here, source.folder)
            sample, result = source.json("copy", here, source.folder, record["root"])
            add(figures, source, state, sample)
    shutil.rmtree(here)
    shutil.rmtree(source.folder)
    return {"tools": figures, "record": record, "sent": result}


def memory(bench):
    """The peak of an export by full scan of 8 GiB and of 40 GiB."""
    figures = {}
    for name in ("d", "o40"):
        tool = bench.ours("atelier")
        sample, _ = tool.put(bench.inputs[name])
        figures[name] = sample.to_json()
        shutil.rmtree(tool.folder)
    print("  " + ", ".join(f"{name} {sample['peak_mib']:.0f} MiB" for name, sample in figures.items()), flush=True)
    return figures


def output_of(*words):
    """What another measurement prints."""
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
                          cwd=REPOSITORY)
    return done.stdout


def limits(bench):
    """SHA-256, zstd, memcpy and the disk, on the data of b."""
    figures = json.loads(output_of(REPOSITORY / "build/bin/limits", bench.inputs["b"], "--folder", bench.scratch, "--json"))
    for name, value in figures.items():
        print(f"  {name:28} {value / 2**20:10.0f} MiB/s" if value > 1e6 and name != "dataBytes" else f"  {name:28} {value}", flush=True)
    return figures


def clone(bench):
    """A VM's disk on an image of 1 GiB, 40 GiB and 16 TiB, ready and durable."""
    printed = output_of(REPOSITORY / "build/bin/clone", bench.scratch)
    print(printed, flush=True)
    lines = re.findall(r"^ *(\d+) GiB +(\S.*?) {2,}([\d.]+) +([\d.]+) +(\d+)$", printed, re.M)
    return {"lines": [{"gib": int(gib), "maker": maker, "best_ms": float(best), "median_ms": float(median), "kib": int(kib)}
                      for gib, maker, best, median, kib in lines]}


def boot(bench):
    """Guests booting through the plugin, alone and thirty together."""
    figures = json.loads(output_of("/usr/bin/python3", REPOSITORY / "bench/boot.py", "--folder", bench.scratch, "--json"))
    for name, result in figures.items():
        print(f"  {name:34} {result['seconds']:8.2f} s", flush=True)
    return {"boots": figures}


def index(bench):
    """40 million chunks; the program judges itself: a JSON object whose `rows` have job, goal, figure, met and from."""
    return json.loads(output_of(REPOSITORY / "build/bin/index_bench", "--folder", bench.scratch, "--json"))


JOBS = {"limits": limits, "first": first, "changed": changed, "export": export, "three": three, "cousins": cousins, "restore": restore,
        "verify": verify, "copy": copy, "memory": memory, "clone": clone, "boot": boot, "index": index}


def run_job(name, bench):
    began = time.time()
    figures = JOBS[name](bench)
    figures["measured"] = {"date": time.strftime("%Y-%m-%d %H:%M", time.gmtime(began)), "minutes": round((time.time() - began) / 60, 2),
                           "load": round(os.getloadavg()[0], 2)}
    return figures


__all__ = ["ATELIER", "Bench", "JOBS", "run_job"]
