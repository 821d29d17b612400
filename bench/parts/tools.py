"""Atelier and its peers, each behind the same four verbs. Every tool keeps all it writes in one folder, so that a copy of
the folder is a copy of its store."""

import json
import subprocess
from pathlib import Path

from parts.measure import apparent_bytes, measured

REPOSITORY = Path(__file__).resolve().parents[2]
ATELIER = REPOSITORY / "build/bin/atelier"


class Tool:
    name = ""
    settings = ""
    deduplicates = True
    verifies = False
    reads_holes = False  # as data, at great length
    own_parts = ()  # files in the folder that are no part of the store: caches and indexes

    def __init__(self, folder):
        self.folder = folder

    def prepare(self):
        self.folder.mkdir(parents=True)

    def store_bytes(self):
        return apparent_bytes(self.folder) - sum(apparent_bytes(self.folder / part) for part in self.own_parts)

    def run(self, *command, cwd=None):
        return measured(command, self.folder.parent, self.environment(), cwd)[0]

    def environment(self):
        return {}


class Atelier(Tool):
    name = "Atelier"
    settings = "zstd level 1, SHA-256, every pack and record fsynced"
    verifies = True
    own_parts = ("index",)

    def prepare(self):
        subprocess.run([ATELIER, "store", "init", self.folder], check=True, stdout=subprocess.DEVNULL)

    def json(self, *command):
        sample, printed = measured([ATELIER, "--output", "json", "store", *command], self.folder.parent, output=subprocess.PIPE)
        return sample, json.loads(printed) if printed.strip() else {}

    def put(self, disk):
        """The sample and the image's record."""
        return self.json("put", self.folder, disk)

    def store(self, disk, _tag):
        return self.put(disk)[0]

    def roots(self):
        return {record["label"] or record["root"]: record for record in self.json("list", self.folder)[1]}

    def restore(self, tag, out):
        return self.run(ATELIER, "store", "get", self.folder, tag, out)

    def verify(self):
        return self.json("verify", self.folder)[0]


class QemuImg(Tool):
    deduplicates = False

    def __init__(self, folder, codec):
        super().__init__(folder)
        self.codec = codec
        self.name = f"qemu-img convert -c, {codec}"
        self.settings = "64 KiB clusters, -m 8 -W, the codec's default level"

    def store(self, disk, tag):
        kind = "qcow2" if disk.suffix == ".qcow2" else "raw"
        return self.run("qemu-img", "convert", "-f", kind, "-O", "qcow2", "-c", "-m", "8", "-W", "-o",
                        f"compression_type={self.codec}", disk, self.folder / f"{tag}.qcow2")

    def restore(self, tag, out):
        return self.run("qemu-img", "convert", "-O", "raw", "-m", "8", "-W", self.folder / f"{tag}.qcow2", out)


class Casync(Tool):
    name = "casync"
    reads_holes = True
    settings = "content-defined chunks 16/64/256 KiB, zstd, SHA-512/256"

    def store(self, disk, tag):
        return self.run("casync", "make", f"--store={self.folder / 'store.castr'}", self.folder / f"{tag}.caibx", disk)

    def restore(self, tag, out):
        return self.run("casync", "extract", f"--store={self.folder / 'store.castr'}", "--seed-output=no",
                        self.folder / f"{tag}.caibx", out)


class Borg(Tool):
    verifies = True
    own_parts = ("base",)

    def __init__(self, folder, chunker):
        super().__init__(folder)
        self.chunker = {"fixed": "fixed,4194304", "default": "buzhash,19,23,21,4095"}[chunker]
        self.name = f"borg, {chunker} chunks"
        self.settings = f"{self.chunker}, zstd level 1, no encryption" + (", --sparse" if chunker == "fixed" else "")
        self.sparse = ["--sparse"] if chunker == "fixed" else []
        self.reads_holes = chunker != "fixed"

    def environment(self):
        return {"BORG_BASE_DIR": str(self.folder / "base"), "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
                "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    def prepare(self):
        super().prepare()
        self.run("borg", "init", "-e", "none", self.folder / "repository")

    def store(self, disk, tag):
        return self.run("borg", "create", *self.sparse, "--files-cache=disabled", "--chunker-params", self.chunker,
                        "--compression", "zstd,1", f"{self.folder / 'repository'}::{tag}", disk.name, cwd=disk.parent)

    def restore(self, tag, out):
        sample = self.run("borg", "extract", "--sparse", f"{self.folder / 'repository'}::{tag}", cwd=out.parent)
        (out.parent / f"{tag}.raw").rename(out)
        return sample

    def verify(self):
        return self.run("borg", "check", "--verify-data", self.folder / "repository")


class Restic(Tool):
    name = "restic"
    settings = "content-defined chunks of about 1 MiB, zstd (auto), encrypted (cannot be turned off)"
    verifies = True

    def __init__(self, folder):
        super().__init__(folder)
        self.repository = folder / "repository"

    def environment(self):
        return {"RESTIC_PASSWORD": "benchmark", "RESTIC_REPOSITORY": str(self.repository)}

    def prepare(self):
        super().prepare()
        self.run("restic", "--no-cache", "init", "--repository-version", "2")

    def store(self, disk, tag):
        return self.run("restic", "--no-cache", "-q", "backup", "--compression", "auto", "--pack-size", "64", "--tag", tag,
                        disk.name, cwd=disk.parent)

    def restore(self, tag, out):
        sample = self.run("restic", "--no-cache", "-q", "restore", "latest", "--tag", tag, "--target", out.parent)
        (out.parent / f"{tag}.raw").rename(out)
        return sample

    def verify(self):
        return self.run("restic", "--no-cache", "-q", "check", "--read-data")


def peers(folder):
    return [QemuImg(folder / "qemu-zlib", "zlib"), QemuImg(folder / "qemu-zstd", "zstd"), Casync(folder / "casync"),
            Borg(folder / "borg-fixed", "fixed"), Borg(folder / "borg", "default"), Restic(folder / "restic")]
