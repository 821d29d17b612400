#!/usr/bin/env python3
"""Checks the tree against the rules of docs/architecture.md: ranks, owners of I/O libraries, sizes, forbidden text.

Prints one line per breach and ends with 1 if there is one. Usage: structure.py [ROOT]
"""

import re
import subprocess
import sys
from pathlib import Path

# A folder may include only folders of a strictly lower rank.
RANKS = {
    "base": 0,
    "net": 1, "db": 1, "vm": 1, "http": 1,
    "image": 2, "auth": 2, "ops": 2,
    "catalog": 3,
    "gallery": 4, "labs": 4,
    "api": 5,
    "atelierd": 6, "atelier": 6, "nbdkit_plugin": 6,
}

# Which folders may include a library's headers. What is not named here is free (std, POSIX, Boost.JSON, fmt, GoogleTest).
OWNERS = [
    (r"spdlog/", {"base"}),
    (r"curl/", {"net"}),
    (r"soci|sqlite3\.h|libpq|postgresql/", {"db"}),
    (r"libvirt/", {"vm"}),
    (r"boost/(asio|beast)", {"http"}),
    (r"zstd\.h|lmdb\.h|libnbd\.h|xxhash\.h", {"image"}),
    (r"openssl/", {"image", "auth", "http"}),
    (r"cjose/|crypt\.h", {"auth"}),
    (r"CLI/|toml\+\+", {"atelierd", "atelier"}),
    (r"nbdkit-plugin\.h", {"nbdkit_plugin"}),
]
# Libraries whose headers make every includer slow: in sources, and in headers that no other folder includes.
SOURCES_ONLY = re.compile(r"boost/(asio|beast)|soci|libvirt/|boost/json/(parse|serialize)|CLI/CLI\.hpp")

# Lines: beyond `ask` it is listed, beyond `fail` it is a breach.
SIZES = {"source": (400, 600), "header": (200, 300), "function": (70, 100)}

# A path of some machine, a package registry, an unfinished place.
FORBIDDEN = [
    (re.compile(r"/work/(main|shared)|/tmp/a/"), "a path of one machine"),
    (re.compile(r"deb\.debian\.org|registry\.npmjs|pypi\.org|deb\.nodesource"), "a host of a package registry"),
    (re.compile(r"\b(TODO|FIXME|XXX)\b"), "an unfinished place"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]', re.M)
FUNCTION_START = re.compile(r"^[A-Za-z_].*\)\s*(const\s*)?(noexcept\s*)?(->\s*[\w:<>,\s*&]+)?\{\s*$")
TEXT_SUFFIXES = {".h", ".cpp", ".py", ".sh", ".md", ".ts", ".tsx", ".mjs", ".json", ".txt", ".cmake", ".yml", ".toml", ""}


def tracked_files(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True,
                            text=True)
    return [path for path in map(Path, listed.stdout.splitlines()) if (root / path).is_file()]


def rank_breaches(folder, path, includes):
    for include in includes:
        other = include.split("/")[0]
        if "/" in include and other in RANKS and other != folder and RANKS[other] >= RANKS[folder]:
            yield f"{path}: {folder} (rank {RANKS[folder]}) may not include {include} (rank {RANKS[other]})"


def owner_breaches(folder, path, includes):
    for include in includes:
        for pattern, folders in OWNERS:
            if re.match(pattern, include) and folder not in folders:
                yield f"{path}: {include} belongs to {', '.join(sorted(folders))}"


def slow_header_breaches(includes_of):
    """`includes_of`: path → its includes. A header that includes a slow library must stay inside its folder."""
    for path, includes in includes_of.items():
        slow = [include for include in includes if SOURCES_ONLY.match(include)]
        if path.suffix != ".h" or not slow:
            continue
        name = str(path.relative_to("src"))
        for other, others_includes in includes_of.items():
            if name in others_includes and other.parts[1] != path.parts[1]:
                yield f"{other}: {name} brings {slow[0]}, which only {path.parts[1]} may see"


def function_sizes(text):
    """(first line, lines) of each function body that starts in column 0 and ends with a brace in column 0."""
    start = None
    for number, line in enumerate(text.splitlines(), 1):
        if FUNCTION_START.match(line) and not line.startswith(("namespace", "struct", "class", "enum", "extern")):
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number - start + 1
            start = None


def size_findings(path, text):
    kind = "header" if path.suffix == ".h" else "source"
    measured = [(f"{path}", kind, text.count("\n"))]
    if not path.name.endswith("_test.cpp"):
        measured += [(f"{path}:{line}", "function", length) for line, length in function_sizes(text)]
    for place, what, lines in measured:
        ask, limit = SIZES[what]
        if lines > ask:
            yield lines > limit, f"{place}: a {what} of {lines} lines asks to be two (listed over {ask}, refused over {limit})"


def forgotten_tests(root, paths):
    """Tests that no CMakeLists.txt names never run."""
    built = " ".join((root / path).read_text() for path in paths if path.name == "CMakeLists.txt")
    names = set(re.findall(r"[\w./]+\.cpp", built))
    for path in paths:
        if path.name.endswith("_test.cpp") and not any(name == path.name or name.endswith("/" + path.name) for name in names):
            yield f"{path}: no CMakeLists.txt names it"


def check(root):
    breaches, asks, includes_of = [], [], {}
    for path in tracked_files(root):
        if path.suffix not in TEXT_SUFFIXES or path.name == "package-lock.json" or path.name == "LICENSE":
            continue
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        if path != Path("scripts/lint/structure.py"):
            for pattern, meaning in FORBIDDEN:
                for found in pattern.finditer(text):
                    line = text.count("\n", 0, found.start()) + 1
                    breaches.append(f"{path}:{line}: '{found.group(0)}' is {meaning}")
        if path.parts[0] in ("src", "bench", "fuzz") and path.suffix in (".h", ".cpp"):
            for is_breach, finding in size_findings(path, text):
                (breaches if is_breach else asks).append(finding)
        if path.parts[0] == "src" and path.suffix in (".h", ".cpp"):
            folder = path.parts[1]
            if folder not in RANKS:
                breaches.append(f"{path}: the folder src/{folder} has no rank in scripts/lint/structure.py")
                continue
            includes = includes_of[path] = INCLUDE.findall(text)
            if not path.name.endswith("_test.cpp"):
                breaches += owner_breaches(folder, path, includes)
            breaches += rank_breaches(folder, path, includes)
    breaches += slow_header_breaches(includes_of)
    breaches += forgotten_tests(root, tracked_files(root))
    return breaches, asks


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    breaches, asks = check(root)
    for finding in asks:
        print(f"note: {finding}")
    for finding in breaches:
        print(f"error: {finding}", file=sys.stderr)
    print(f"structure: {len(breaches)} breaches, {len(asks)} files or functions that ask to be two")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
