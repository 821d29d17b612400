#!/usr/bin/env python3
"""The image engine against its peers and against the machine's limits; writes docs/benchmarks.md and build/bench-engine.json.

usage: engine.py [--only JOB,JOB] [--quick] [--no-peers] [--repetitions N] [--inputs DIR] [--scratch DIR] [--report]

--only      these jobs; the other rows stay as they were measured before
--quick     small inputs, to try the script; its report goes to build/, never to docs/
--inputs    where the disks are kept (default ATELIER_BENCH_INPUTS or build/bench-inputs; 16 GiB free to make them)
--scratch   where stores and restored disks are written (default build/bench-scratch); must be the disk to be measured
--report    measures nothing, writes the report again
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from parts import inputs, report, rows

REPOSITORY = Path(__file__).resolve().parents[1]


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--inputs", type=Path)
    parser.add_argument("--scratch", type=Path, default=REPOSITORY / "build/bench-scratch")
    parser.add_argument("--report", action="store_true")
    chosen = parser.parse_args()
    kind = "bench-inputs-quick" if chosen.quick else "bench-inputs"
    given = chosen.inputs or (None if chosen.quick else os.environ.get("ATELIER_BENCH_INPUTS"))
    chosen.inputs = Path(given or REPOSITORY / "build" / kind).resolve()
    chosen.scratch = chosen.scratch.resolve() / str(os.getpid())  # two runs at once must not empty each other's
    names = [name for name in chosen.only.split(",") if name] or list(rows.JOBS)
    unknown = [name for name in names if name not in rows.JOBS]
    if unknown:
        parser.error(f"there is no job {', '.join(unknown)}; there are {', '.join(rows.JOBS)}")
    chosen.names = [] if chosen.report else names
    return chosen


def main():
    chosen = options()
    suffix = "-quick" if chosen.quick else ""
    kept = REPOSITORY / f"build/bench-engine{suffix}.json"
    results = json.loads(kept.read_text()) if kept.exists() else {"jobs": {}}
    results["machine"] = report.machine(next(folder for folder in chosen.scratch.parents if folder.exists()))
    failed = []
    if chosen.names:
        disks = inputs.ensure(chosen.inputs, chosen.quick)
        chosen.scratch.mkdir(parents=True, exist_ok=True)
        bench = rows.Bench(disks, chosen.scratch, chosen.repetitions, not chosen.no_peers)
        try:
            for name in chosen.names:
                print(f"bench: {name}", flush=True)
                try:
                    results["jobs"][name] = rows.run_job(name, bench)
                except (RuntimeError, OSError, rows.subprocess.CalledProcessError, KeyError, ValueError) as error:
                    failed.append(name)
                    print(f"bench: {name} failed: {error}", file=sys.stderr)
                kept.write_text(json.dumps(results, indent=1) + "\n")
        finally:
            shutil.rmtree(chosen.scratch, ignore_errors=True)
    text = report.markdown(results)
    out = REPOSITORY / (f"build/benchmarks{suffix}.md" if chosen.quick else "docs/benchmarks.md")
    out.write_text(text)
    print(text)
    print(f"bench: wrote {out.relative_to(REPOSITORY)} and {kept.relative_to(REPOSITORY)}")
    if failed:
        sys.exit(f"bench: these jobs failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
