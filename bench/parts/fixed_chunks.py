"""What fixed chunks of 64 KiB would store: SHA-256 as id, zstd level 1 or raw where that does not shrink, no holes.

usage: fixed_chunks.py DISK ...     one line of new stored bytes for each disk, each beside those before it
"""

import hashlib
import os
import sys
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from parts.measure import data_ranges

CHUNK = 64 << 10
ZERO = bytes(CHUNK)


def new_bytes(disk, known, compressor):
    stored = 0
    descriptor = os.open(disk, os.O_RDONLY)
    try:
        last = -1
        for begin, end in data_ranges(descriptor, os.fstat(descriptor).st_size):
            for number in range(max(last + 1, begin // CHUNK), -(-end // CHUNK)):
                last = number
                chunk = os.pread(descriptor, CHUNK, number * CHUNK)
                if chunk == ZERO[:len(chunk)]:
                    continue
                name = hashlib.sha256(chunk).digest()
                if name not in known:
                    known.add(name)
                    stored += min(len(chunk), len(compressor.compress(chunk)))
    finally:
        os.close(descriptor)
    return stored


def main():
    known, compressor = set(), zstandard.ZstdCompressor(level=1)
    for disk in sys.argv[1:]:
        print(new_bytes(disk, known, compressor), flush=True)


if __name__ == "__main__":
    main()
