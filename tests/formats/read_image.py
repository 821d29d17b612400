#!/usr/bin/env python3
"""Reads an image out of a store with nothing but docs/formats/store-1.md: no index, none of our code.

usage: read_image.py STORE                  check every pack and record, list the images
       read_image.py STORE ROOT OUT         also write the image as a sparse raw disk
       read_image.py --root-of DISK         the root that a raw disk has, by cutting it anew

Needs Debian's python3-xxhash and python3-zstandard. Ends with 1 and a sentence at the first thing that is not as the page says.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

import xxhash
import zstandard

GRAIN = 4096
SEGMENT = 64 << 20
HOLE = bytes(32)
PLAIN_MAX = 16 << 20
PACK_MAX = 64 << 20
ENTRY = struct.Struct("<32s8sIIII")
TAIL = struct.Struct("<II8s8s")


class Wrong(Exception):
    """Something in the store is not as the format says."""


def expect(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def xxh3(data):
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(data, 0))


# -- packs ------------------------------------------------------------------------------------------------------------

def pack_entries(name, data):
    """The entries of a pack's bytes, after all that the page promises of the pack as a whole."""
    expect(hashlib.sha256(data).hexdigest() == name, f"pack {name} is not named by its SHA-256")
    expect(len(data) <= PACK_MAX and data[:8] == b"ATPACK01", f"pack {name} has no pack's head or size")
    count, zero, entries_sum, end = TAIL.unpack(data[-TAIL.size:])
    expect(end == b"ATPEND01" and zero == 0 and count >= 1, f"pack {name} has no pack's tail")
    start = len(data) - TAIL.size - count * ENTRY.size
    expect(start >= 8, f"pack {name} has no room for its entries")
    table = data[start:-TAIL.size]
    expect(xxh3(table) == entries_sum, f"the entries of pack {name} do not have their checksum")
    entries = list(ENTRY.iter_unpack(table))
    at = 8
    for _, _, offset, stored, _, _ in entries:
        expect(offset == at, f"the chunks of pack {name} are not back to back")
        at += stored
    expect(at == start, f"the chunks of pack {name} do not fill it")
    return entries


def plain_bytes(data, entry):
    """The chunk of an entry, decoded and checked."""
    chunk_id, stored_sum, offset, stored, plain, codec = entry
    held = data[offset:offset + stored]
    where = f"chunk {chunk_id.hex()}"
    expect(xxh3(held) == stored_sum, f"{where} is not stored with its checksum")
    expect(plain <= PLAIN_MAX and codec in (0, 1), f"{where} has no legal length or codec")
    if codec == 1:
        expect(stored < plain, f"{where} is compressed without being shorter")
        frame = zstandard.get_frame_parameters(held)
        expect(frame.content_size in (plain, zstandard.CONTENTSIZE_UNKNOWN), f"the frame of {where} has another length")
        held = zstandard.ZstdDecompressor().decompress(held, max_output_size=plain)
    expect(len(held) == plain, f"{where} has another length")
    expect(hashlib.sha256(held).digest() == chunk_id, f"{where} has another SHA-256")
    return held


class Store:
    def __init__(self, folder):
        self.folder = Path(folder)
        about = json.loads((self.folder / "format.json").read_text(encoding="utf-8"))
        expect(about["format"] == 1 and about["cutting"] == "file-tail-1", "this is no store of format 1")
        self.places = {}  # id → (pack's path, entry)
        self.last_pack = (None, b"")
        self.chunks = 0
        for path in sorted(self.folder.glob("packs/*/*")):
            expect(path.parent.name == path.name[:2], f"pack {path.name} lies in the wrong folder")
            data = self.pack(path)
            for entry in pack_entries(path.name, data):
                plain_bytes(data, entry)
                self.places[entry[0]] = (path, entry)
                self.chunks += 1

    def pack(self, path):
        if self.last_pack[0] != path:
            self.last_pack = (path, path.read_bytes())
        return self.last_pack[1]

    def chunk(self, chunk_id):
        expect(chunk_id in self.places, f"no pack has chunk {chunk_id.hex()}")
        path, entry = self.places[chunk_id]
        return plain_bytes(self.pack(path), entry)

    def records(self):
        """root → record, of every image."""
        found = {}
        for path in sorted(self.folder.glob("images/*")):
            first, second = path.read_bytes().splitlines(keepends=True)
            expect(json.loads(second) == "sha256:" + hashlib.sha256(first).hexdigest(), f"record {path.name} has another SHA-256")
            record = json.loads(first)
            expect(record["format"] == 1 and record["root"] == path.name, f"record {path.name} is of another image or format")
            found[path.name] = record
        return found

    def stretches(self, segment_id, length):
        """(length, id or None for a hole) for all of a segment."""
        if segment_id == HOLE:
            return [(length, None)]
        segment = self.chunk(segment_id)
        magic, count = struct.unpack_from("<8sI", segment)
        expect(magic == b"ATSEG001", f"{segment_id.hex()} is no segment")
        found, at = [], 12
        for _ in range(count):
            word, = struct.unpack_from("<I", segment, at)
            is_chunk = bool(word >> 31)
            found.append((word & 0x7FFFFFFF, segment[at + 4:at + 36] if is_chunk else None))
            at += 36 if is_chunk else 4
        expect(at == len(segment) and sum(size for size, _ in found) == length, f"segment {segment_id.hex()} has another length")
        expect(all(size > 0 for size, _ in found), f"segment {segment_id.hex()} has an empty stretch")
        expect(not any(a[1] is None and b[1] is None for a, b in zip(found, found[1:])),
               f"two holes touch in segment {segment_id.hex()}")
        return found

    def write(self, root, out):
        """Writes the image as a raw disk; returns its stretches."""
        tree = self.chunk(bytes.fromhex(root))
        magic, disk_bytes = struct.unpack_from("<8sQ", tree)
        segments = [tree[at:at + 32] for at in range(16, len(tree), 32)]
        expect(magic == b"ATROOT01" and 1 <= disk_bytes <= 1 << 44, f"{root} is no root")
        expect(len(segments) == -(-disk_bytes // SEGMENT), f"root {root} has a wrong number of segments")
        everything = []
        with open(out, "wb") as disk:
            disk.truncate(disk_bytes)
            for number, segment in enumerate(segments):
                disk.seek(number * SEGMENT)
                for size, chunk_id in self.stretches(segment, min(SEGMENT, disk_bytes - number * SEGMENT)):
                    if chunk_id is None:
                        disk.seek(size, 1)
                    else:
                        data = self.chunk(chunk_id)
                        expect(len(data) == size, f"chunk {chunk_id.hex()} is not as long as its stretch")
                        disk.write(data)
                    everything.append((size, chunk_id))
        return everything


# -- cutting ----------------------------------------------------------------------------------------------------------

def cut(segment):
    """The stretches of a segment's bytes: (length, id or None for a hole)."""
    found = []
    start = hole = 0  # where the current chunk began; how long the current hole is

    def end_chunk(end):
        if end > start:
            found.append((end - start, hashlib.sha256(segment[start:end]).digest()))

    def end_hole():
        if hole:
            found.append((hole, None))

    for at in range(0, len(segment), GRAIN):
        grain = segment[at:at + GRAIN]
        after = at + len(grain)
        if not any(grain):
            end_chunk(at)
            start, hole = after, hole + len(grain)
            continue
        end_hole()
        hole = 0
        size = after - start
        is_tail = size >= 4096 and not any(grain[-32:])
        is_marked = size >= 16384 and xxhash.xxh3_64_intdigest(grain, 0) % 32 == 0
        if size >= 524288 or is_tail or is_marked:
            end_chunk(after)
            start = after
    end_chunk(len(segment))
    end_hole()
    return found


def root_of(disk):
    """The root of a raw disk file in hexadecimal digits, and all its stretches."""
    size = Path(disk).stat().st_size
    tree, everything = struct.pack("<8sQ", b"ATROOT01", size), []
    with open(disk, "rb") as file:
        while segment := file.read(SEGMENT):
            stretches = cut(segment)
            everything += stretches
            if stretches == [(len(segment), None)]:
                tree += HOLE
                continue
            encoded = struct.pack("<8sI", b"ATSEG001", len(stretches))
            for length, chunk_id in stretches:
                encoded += struct.pack("<I", length) if chunk_id is None else struct.pack("<I", length | 1 << 31) + chunk_id
            tree += hashlib.sha256(encoded).digest()
    return hashlib.sha256(tree).hexdigest(), everything


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--root-of":
        print(root_of(arguments[1])[0])
        return
    if len(arguments) not in (1, 3):
        sys.exit(__doc__.strip())
    store = Store(arguments[0])
    records = store.records()
    for root, record in records.items():
        print(f"{root} {record['diskBytes']} {record['label']}")
    print(f"{len(records)} images, {store.chunks} chunks checked", file=sys.stderr)
    if len(arguments) == 3:
        root, out = arguments[1:]
        expect(root in records, f"the store has no image {root}")
        store.write(root, out)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Wrong as error:
        sys.exit(f"read_image.py: {error}")
