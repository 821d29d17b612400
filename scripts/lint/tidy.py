#!/usr/bin/env python3
"""Runs clang-tidy-19 over the sources of a build folder, several at once; ends with 1 if it finds anything.

Usage: tidy.py BUILD_FOLDER JOBS [PATH_PART ...]   (only sources whose path holds one of PATH_PART)
A source that was found clean is not looked at again until it, a header of the project, the settings or its flags change;
what was clean is remembered in BUILD_FOLDER/tidy-clean.json.
"""

import concurrent.futures
import hashlib
import json
import subprocess
import sys
from pathlib import Path


def fingerprint(common, entry):
    return hashlib.sha256(common + Path(entry["file"]).read_bytes() + entry["command"].encode()).hexdigest()


def tidy(entry, build):
    return subprocess.run(["clang-tidy-19", "--quiet", "-p", str(build), "--extra-arg=-Wno-unknown-warning-option",
                           "--extra-arg=-Wno-error", entry["file"]], capture_output=True, text=True)


def main():
    build, jobs, parts = Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3:]
    root = Path.cwd()
    entries = {entry["file"]: entry for entry in json.loads((build / "compile_commands.json").read_text())}
    sources = [entry for file, entry in sorted(entries.items())
               if file.startswith(str(root / "src")) and (not parts or any(part in file for part in parts))]
    common = Path(".clang-tidy").read_bytes() + b"".join(path.read_bytes() for path in sorted(root.glob("src/**/*.h")))
    memory = build / "tidy-clean.json"
    clean = set(json.loads(memory.read_text())) if memory.exists() else set()
    due = [entry for entry in sources if fingerprint(common, entry) not in clean]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for entry, run in zip(due, pool.map(lambda each: tidy(each, build), due)):
            if run.returncode == 0:
                clean.add(fingerprint(common, entry))
            else:
                failed += 1
                print(run.stdout.replace(str(root) + "/", ""), end="")
                if not run.stdout:
                    print(run.stderr)
    memory.write_text(json.dumps(sorted(clean)))
    print(f"clang-tidy: {len(sources)} sources, {len(due)} looked at, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
