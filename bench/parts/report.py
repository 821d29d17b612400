"""From raw figures to docs/benchmarks.md: each goal of the engine with its figure, its limit and whether it is met."""

import json
import os
import platform
import re
import subprocess
from pathlib import Path

from parts.measure import best, median_seconds

# What profiles showed, by the name of the row; read only for rows that are not met.
FINDINGS = Path(__file__).resolve().parents[1] / "findings.json"
MIB = 1 << 20


def version_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"\d+[\w.+-]*", done.stdout + done.stderr)
        return found.group(0) if found else "?"
    except OSError:
        return "not installed"


def machine(folder):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text()).group(1))
    kind = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", folder], capture_output=True, text=True, check=False).stdout.strip()
    release = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return {"cpu": cpu.group(1) if cpu else platform.machine(), "processors": os.cpu_count(), "memory_gib": round(memory / MIB, 1),
            "kernel": platform.release().split("-")[0], "system": release.group(1) if release else "?", "file_system": kind,
            "versions": {"qemu-img": version_of("qemu-img", "--version"), "casync": version_of("casync", "--version"),
                         "borg": version_of("borg", "--version"), "restic": version_of("restic", "version"),
                         "zstd": version_of("dpkg-query", "-W", "-f", "${Version}", "libzstd1"),
                         "openssl": version_of("openssl", "version")}}


class Table:
    """The rows of the goals. A goal without a figure says so."""

    def __init__(self):
        self.rows = []

    def goal(self, job, goal, figure, is_met, detail=""):
        self.rows.append((job, goal, figure, "met" if is_met else "**not met**", detail))

    def missing(self, job, goal):
        self.rows.append((job, goal, "–", "not measured", ""))

    def text(self):
        head = ("Job", "Goal", "Measured", "", "From")
        return markdown_table(head, self.rows)


def markdown_table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def total(sample):
    return sample["seconds"] + sample["sync_seconds"]


def mib_per_second(size, seconds):
    return f"{size / MIB / seconds:.0f} MiB/s"


# -- limits: seconds that the machine needs at the least for a number of data bytes ---------------------------------------

def limit_seconds(results, job, size, scale="_all", hashes=("sha256_each_32k", "sha256_openssl_512k")):
    """By the rates of all processors working at once (`_all`), or of one alone times their number (`_1`)."""
    rate = results["jobs"].get("limits")
    if rate is None:
        return None
    sha = max(rate[name + scale] for name in hashes)
    compress, decompress = rate["zstd1_compress_32k" + scale], rate["zstd1_decompress_32k" + scale]
    cost = {"first": 1 / sha + 1 / compress, "changed": 1 / sha, "restore": 1 / decompress + 1 / sha,
            "verify": 1 / decompress + 1 / sha}[job]
    return size * cost / (1 if scale == "_all" else rate["cores"])


def ours(job):
    return job["tools"]["Atelier"]


def fastest_peer(job, state="warm", only_deduplicating=False):
    peers = [(total(best(tool[state])), name) for name, tool in job["tools"].items()
             if name != "Atelier" and state in tool and (tool.get("deduplicates") or not only_deduplicating)]
    return min(peers, default=(None, None))


def share_goal(table, results, name, job, title, size, share):
    goal = f"≥ {share:.0%} of the limit"
    seconds, sample = None, best(ours(job)["warm"])
    limit = limit_seconds(results, name, size)
    if limit is None:
        table.missing(title, goal)
        return
    seconds = total(sample)
    reached, strict = limit / seconds, limit_seconds(results, name, size, "_1") / seconds
    openssl = limit_seconds(results, name, size, hashes=("sha256_openssl_32k", "sha256_openssl_512k")) / seconds
    table.goal(title, goal, f"{reached:.0%}", reached >= share,
               f"{seconds:.2f} s ({mib_per_second(size, seconds)} of data; {sample['seconds']:.2f} s without sync; CPU "
               f"{sample['cpu_seconds']:.2f} s), limit {limit:.2f} s; {openssl:.0%} of the limit with OpenSSL's SHA-256, {strict:.0%} of "
               "what the cores do one by one")


def ratio_goal(table, title, job, factor, only_deduplicating):
    seconds, name = fastest_peer(job, "warm", only_deduplicating)
    goal = f"≥ {factor} × the fastest peer" + (" that deduplicates" if only_deduplicating else "")
    if seconds is None:
        table.missing(title, goal)
        return
    mine = total(best(ours(job)["warm"]))
    table.goal(title, goal, f"{seconds / mine:.1f} ×", seconds / mine >= factor, f"{name}: {seconds:.2f} s; Atelier: {mine:.2f} s")


# -- the rows -----------------------------------------------------------------------------------------------------------

def first_rows(table, results, job):
    title, size = "store the first disk", ours(job)["record"]["dataBytes"]
    share_goal(table, results, "first", job, title, size, 0.8)
    ratio_goal(table, title, job, 4, True)


def changed_rows(table, results, job):
    title, size = "store the changed disk by full scan", ours(job)["record"]["dataBytes"]
    share_goal(table, results, "changed", job, title, size, 0.8)
    ratio_goal(table, title, job, 8, True)


def export_rows(table, _, job):
    title, mine = "export an overlay with 60 MiB changed on 40 GiB", ours(job)
    sample = best(mine["warm"])
    seconds = total(sample)
    table.goal(title, "≤ 0.5 s", f"{seconds:.2f} s", seconds <= 0.5,
               f"{mine['record']['bytesRead'] / MIB:.1f} MiB read; {mine['capture_alone']:.2f} s at best without the disk's server")
    ratio_goal(table, title, job, 50, False)
    table.goal(title, "same root as a full scan", "same" if mine["record"]["root"] == job["root_by_scan"] else "another",
               mine["record"]["root"] == job["root_by_scan"])


def three_rows(table, _, job):
    title, mine, fixed = "bytes stored for the three disks", ours(job)["bytes"], sum(job["fixed"])
    peers = sorted((tool["bytes"], name) for name, tool in job["tools"].items() if name != "Atelier")
    if peers:
        table.goal(title, "less than every peer", f"{mine / MIB:.0f} MiB", mine < peers[0][0],
                   f"{peers[0][1]}: {peers[0][0] / MIB:.0f} MiB")
    table.goal(title, "≤ 0.76 × fixed 64 KiB chunks", f"{mine / fixed:.2f} ×", mine <= 0.76 * fixed, f"fixed: {fixed / MIB:.0f} MiB")


def cousin_rows(table, _, job):
    for name, title in (("x", "the same tree on XFS, after ext4"), ("n", "the same tree on NTFS, after ext4")):
        record = job[name]["record"]
        share = record["storedBytes"] / record["dataBytes"]  # "bytes stored" is what the goal counts
        table.goal(title, "costs ≤ 3 % of its data again", f"{share:.1%}", share <= 0.03,
                   f"{record['storedBytes'] / MIB:.1f} MiB stored for {record['dataBytes'] / MIB:.0f} MiB of data, of which "
                   f"{record['newBytes'] / record['dataBytes']:.1%} is new before compression; fixed chunks store "
                   f"{job[name]['fixed'] / MIB:.0f} MiB")


def restore_rows(table, results, job):
    size = ours(job)["record"]["dataBytes"]
    share_goal(table, results, "restore", job, "restore to raw", size, 0.8)
    ratio_goal(table, "restore to raw", job, 2, False)


def verify_rows(table, results, job):
    share_goal(table, results, "verify", job, "verify a store", ours(job)["report"]["plainBytes"], 0.8)


def copy_rows(table, _, job):
    title, new, sent = "copy the changed version to a store that has the first", job["record"]["storedBytes"], job["sent"]["bytesSent"]
    table.goal(title, "bytes sent ≤ 1.02 × new compressed bytes", f"{sent / new:.3f} ×", sent <= 1.02 * new,
               f"{sent / MIB:.1f} MiB sent of {new / MIB:.1f} MiB new, {total(best(ours(job)['warm'])):.2f} s")


def memory_rows(table, _, job):
    peak = max(sample["peak_mib"] for sample in job.values() if "peak_mib" in sample)
    table.goal("memory of an export", "≤ 256 MiB", f"{peak:.0f} MiB", peak <= 256,
               "full scans: 8 GiB disk {:.0f} MiB, 40 GiB disk {:.0f} MiB".format(job["d"]["peak_mib"], job["o40"]["peak_mib"]))


def clone_rows(table, _, job):
    title, mine = "clone: image to running VM's disk", [line for line in job["lines"] if line["maker"].startswith("atelier")]
    slowest, largest = max(mine, key=lambda line: line["median_ms"]), max(line["kib"] for line in mine)
    table.goal(title, "≤ 20 ms", f"{slowest['median_ms']:.1f} ms", slowest["median_ms"] <= 20,
               "median of the slowest of " + ", ".join(f"{line['gib']} GiB" for line in mine) + "; durable")
    table.goal(title, "≤ 1 MiB written", f"{largest} KiB", largest <= 1024)


def boot_rows(table, _, job):
    boots = job["boots"]
    for name, most in (("plugin, cold, no trace", 1.3), ("plugin, cold, trace", 1.3), ("plugin, warm cache file", 1.05)):
        boot = boots[name]
        table.goal(f"boot: {name}", f"≤ {most} × a raw file", f"{boot['ratio']:.2f} ×", boot["ratio"] <= most,
                   f"{boot['seconds']:.2f} s; {boot['against']}: {boots[boot['against']]['seconds']:.2f} s")
    for name, boot in boots.items():
        if "storeReadRatio" in boot:
            table.goal(f"boot: {name}", "store reads ≤ 1.1 × one VM's", f"{boot['storeReadRatio']:.3f} ×", boot["storeReadRatio"] <= 1.1,
                       f"{boot['stats']['storeChunks']} chunks; bytes {boot['storeByteRatio']:.3f} ×")
        elif name.startswith("slow store") and "ratio" in boot:
            table.goal(f"boot: {name}", "the gain, shown", f"{boot['ratio']:.2f} ×", True,
                       f"{boot['seconds']:.2f} s; {boot['against']}: {boots[boot['against']]['seconds']:.2f} s")


def rows_of_others(table, _, job):
    """A program that judges itself: {"rows": [{"job", "goal", "figure", "met", "from"}]}."""
    for row in job["rows"]:
        table.goal(row["job"], row["goal"], row["figure"], row["met"], row.get("from", ""))


ROWS = {"first": ("store the first disk", first_rows), "changed": ("store the changed disk by full scan", changed_rows),
        "export": ("export an overlay with 60 MiB changed on 40 GiB", export_rows),
        "three": ("bytes stored for the three disks", three_rows), "cousins": ("the same tree on XFS or NTFS", cousin_rows),
        "restore": ("restore to raw", restore_rows), "verify": ("verify a store", verify_rows),
        "copy": ("copy the changed version", copy_rows), "memory": ("memory of an export", memory_rows),
        "clone": ("clone: image to running VM's disk", clone_rows), "boot": ("boot through the plugin", boot_rows),
        "index": ("index of 40 million chunks", rows_of_others)}


# -- the page -----------------------------------------------------------------------------------------------------------

def tool_rows(job):
    for name, tool in job["tools"].items():
        for state in ("warm", "cold"):
            if tool.get(state):
                sample = best(tool[state])
                yield (name, state, f"{total(sample):.2f}", f"{sample['seconds']:.2f}", f"{median_seconds(tool[state]):.2f}",
                       len(tool[state]), f"{sample['cpu_seconds']:.2f}", f"{sample['peak_mib']:.0f}",
                       f"{tool['bytes'] / MIB:.0f}" if "bytes" in tool else "")


def details(results):
    for name, (title, _) in ROWS.items():
        job = results["jobs"].get(name)
        if not job or "tools" not in job:
            continue
        yield f"### {title[0].upper()}{title[1:]}\n"
        if name == "three":
            rows = [(tool, *[f"{size / MIB:.1f}" for size in found["after_each"]]) for tool, found in job["tools"].items()]
            sums = [sum(job["fixed"][:count]) for count in (1, 2, 3)]
            yield markdown_table(("Store, MiB", "after b", "after c", "after d"),
                                 rows + [("fixed chunks of 64 KiB", *[f"{size / MIB:.1f}" for size in sums])])
            continue
        yield markdown_table(("Tool", "Cache", "s, synced", "s, until it ended", "median, synced", "runs", "CPU s", "peak MiB", "store MiB"),
                             list(tool_rows(job)))
        yield "Settings: " + "; ".join(f"{tool}: {found['settings']}" for tool, found in job["tools"].items()) + ".\n"


def limits_text(results):
    found = results["jobs"].get("limits")
    if not found:
        return "The limits have not been measured.\n"
    names = sorted({re.sub("_(1|all)$", "", name) for name in found if "_" in name})  # others are counts
    rows = [(name.replace("_", " "), *(f"{found[name + scale] / MIB:.0f}" if name + scale in found else "" for scale in ("_1", "_all", "")))
            for name in names]
    return markdown_table(("MiB/s of plain data", "one core alone", "all cores at once", ""), rows)


def markdown(results):
    table = Table()
    for name, (title, judge) in ROWS.items():
        job = results["jobs"].get(name)
        if job:
            judge(table, results, job)
        else:
            table.missing(title, "")
    findings = json.loads(FINDINGS.read_text(encoding="utf-8")) if FINDINGS.exists() else {}
    about, versions = results["machine"], results["machine"]["versions"]
    dates = [(name, job["measured"]) for name, job in results["jobs"].items()]
    missed = {row[0] for row in table.rows if "not met" in row[3]}
    unmet = "".join(f"- **{title}**: {text}\n" for title, text in findings.items() if title in missed)
    unmet += "".join(f"- **{title}**: not yet looked into.\n" for title in sorted(missed - set(findings)))
    return f"""# Benchmarks of the image engine

Written by `./dev bench engine`; what stands here is measured, by one run where the dates below agree. Peers are Debian's packages.

{about['processors']} processors ({about['cpu']}), {about['memory_gib']} GiB of memory, Linux {about['kernel']}, {about['system']}, {about['file_system']}.
{', '.join(f'{name} {version}' for name, version in versions.items())}.

## Goals

{table.text()}
Times are the best run with a warm page cache, with `sync -f` of what the tool wrote included for all alike; all runs are below.
Peers run once in each state, Atelier three times; a peer that took over 25 s warm is not run cold: the disk is not what holds it up.

## Why a goal is not met

{unmet or 'Every goal that was measured is met.' + chr(10)}
## Limits

Measured by `limits` in the same run on the data of disk b, in chunks of about the mean size. For D bytes of data a job cannot be faster
than the sum of what hashing and coding them take with all cores at work (two cores of one machine share memory and power, so that
they do less than one by one; the share of that is given as well):

- store the first disk: D × (1/SHA-256 + 1/compress)
- store the changed disk: D × (1/SHA-256)
- restore, verify: D × (1/decompress + 1/SHA-256)

SHA-256 is the faster of many chunks hashed side by side and OpenSSL on 512 KiB.

{limits_text(results)}
## Every tool

{chr(10).join(details(results))}
## When

{markdown_table(('Job', 'Date (UTC)', 'Minutes', 'Load after'), [(name, m['date'], m['minutes'], m['load']) for name, m in dates])}
## Again

    ./dev bench engine                        everything; makes the inputs first, which takes long once
    ./dev bench engine --only restore,verify  some rows; the others stay
    ./dev bench engine --quick                small inputs, to try the script

The inputs are made from Debian packages: b, a server on ext4 (8 GiB disk); c, b after a teacher's change; d, another server,
installed separately; x and n, the tree of b on XFS and NTFS; an overlay of 60 MiB on b as a 40 GiB disk. `bench/parts/inputs.py` says how.
Files are kept in build/bench-inputs (or `--inputs`, or the variable ATELIER_BENCH_INPUTS). Raw figures: build/bench-engine.json.
"""
