#!/usr/bin/env python3
"""Runs clang-tidy-19 over the sources of a build folder, several at once; ends with 1 if it finds anything.

Usage: tidy.py BUILD_FOLDER JOBS [PATH_PART ...]   (only sources whose path holds one of PATH_PART)
A source that was found clean is not looked at again until it, a header of the project that it includes, the settings or its
flags change. What was clean is remembered in ~/.cache/atelier/tidy-clean.json, for every clone.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path


INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.M)
REMEMBERED_MAX = 5000


class Fingerprints:
    """What a source's verdict depends on, as a digest: its command, the settings, and its text with that of each header of
    the project that it includes, however deep."""

    def __init__(self, root):
        self.root = root
        self.common = (root / ".clang-tidy").read_bytes()
        self.files = {}

    def read(self, path):
        if path not in self.files:
            text = path.read_bytes()
            found = [self.root / "src" / name.decode() for name in INCLUDE.findall(text)]
            self.files[path] = hashlib.sha256(text).digest(), [header for header in found if header.is_file()]
        return self.files[path]

    def of(self, entry):
        seen, todo = set(), [Path(entry["file"])]
        while todo:
            path = todo.pop()
            if path not in seen:
                seen.add(path)
                todo += self.read(path)[1]
        digest = hashlib.sha256(self.common + entry["command"].replace(str(self.root), "").encode())
        for path in sorted(seen):
            digest.update(str(path.relative_to(self.root)).encode() + self.read(path)[0])
        return digest.hexdigest()


def tidy(entry, build):
    return subprocess.run(["clang-tidy-19", "--quiet", "-p", str(build), "--extra-arg=-Wno-unknown-warning-option",
                           "--extra-arg=-Wno-error", entry["file"]], capture_output=True, text=True)


def main():
    build, jobs, parts = Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3:]
    root = Path.cwd()
    entries = {entry["file"]: entry for entry in json.loads((build / "compile_commands.json").read_text())}
    sources = [entry for file, entry in sorted(entries.items())
               if file.startswith(str(root / "src")) and (not parts or any(part in file for part in parts))]
    fingerprints = Fingerprints(root)
    memory = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "atelier" / "tidy-clean.json"
    clean = json.loads(memory.read_text()) if memory.exists() else []
    due = [entry for entry in sources if fingerprints.of(entry) not in clean]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for entry, run in zip(due, pool.map(lambda each: tidy(each, build), due)):
            if run.returncode == 0:
                clean.append(fingerprints.of(entry))
            else:
                failed += 1
                print(run.stdout.replace(str(root) + "/", ""), end="")
                if not run.stdout:
                    print(run.stderr)
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.with_suffix(".new").write_text(json.dumps(clean[-REMEMBERED_MAX:]))
    memory.with_suffix(".new").replace(memory)
    print(f"clang-tidy: {len(sources)} sources, {len(due)} looked at, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
