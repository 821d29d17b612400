#!/usr/bin/env python3
"""Large disks: memory stays bounded through upload and export, and a VM from a 40 GiB image costs kilobytes."""

import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import disks
from arm import COMPUTE, LABS
from server import Server, tiny_image
from story import REGION, Story

MEMORY_MAX = 512 << 20
CREATE_BYTES_MAX = 1 << 20


def bytes_on_disk(folder):
    return sum(path.lstat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())


class LargeDiskTest(unittest.TestCase):
    def specialized_version(self, story, disk):
        c = story.client
        image = story.image_path("large")
        c.done(c.put(image, COMPUTE, {"location": REGION, "properties": {
            "osType": "Linux", "osState": "Specialized", "hyperVGeneration": "V1",
            "identifier": {"publisher": "contoso", "offer": "large", "sku": "disk"}}}))
        c.done(c.put(image + "/versions/1.0.0", COMPUTE, {"location": REGION, "properties": {
            "publishingProfile": {"targetRegions": [{"name": REGION}]},
            "storageProfile": {"osDiskImage": {"source": {"id": disk}}}}}))
        return image

    def test_ten_gib_with_one_gib_of_data_pass_in_bounded_memory(self):
        with Server(hypervisor="fake") as server, tempfile.TemporaryDirectory() as scratch:
            story = Story(server.client(), tiny_image(), say=lambda *_: None)
            story.create_and_attach()
            raw = disks.sparse_disk(Path(scratch) / "large.raw", 10 << 30, 1 << 30)
            started = time.monotonic()
            disk = story.client.upload_disk(story.group, "large", REGION, raw)
            uploaded = time.monotonic()
            image = self.specialized_version(story, disk)
            imported = time.monotonic()
            story.request_lab("story-lab-1", image, "ayumi", "Kyoshitsu-2026")
            vm = story.lab_path("story-lab-1") + "/virtualMachines/0"
            story.client.done(story.client.post(vm + "/stop", LABS))
            disks.write_into_overlay(disks.template_overlay(server), 5 << 30, 256 << 20, "changed")
            exporting = time.monotonic()
            story.client.done(story.client.post(story.plan + "/saveImage", LABS, {"name": "again", "labVirtualMachineId": vm}))
            exported = time.monotonic()
            peak = server.memory_peak_bytes()
            print(f"upload {uploaded - started:.1f} s, import {imported - uploaded:.1f} s, export of 256 MiB changed "
                  f"{exported - exporting:.1f} s; atelierd's peak {peak >> 20} MiB")
            self.assertLess(peak, MEMORY_MAX)

    def test_a_template_vm_from_a_40_gib_image_costs_kilobytes(self):
        with Server() as server, tempfile.TemporaryDirectory() as scratch:
            story = Story(server.client(), tiny_image(), say=lambda *_: None)
            story.create_and_attach()
            grown = Path(scratch) / "grown.qcow2"
            subprocess.run(["cp", str(tiny_image()), str(grown)], check=True)
            subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", str(grown), "40G"], check=True)
            image = self.specialized_version(story, story.client.upload_disk(story.group, "grown", REGION, grown))
            os.sync()
            before = bytes_on_disk(server.data / "stores") + bytes_on_disk(server.data / "vms")
            started = time.monotonic()
            status = story.request_lab("story-lab-1", image, "ayumi", "Kyoshitsu-2026")
            seconds = time.monotonic() - started
            written = bytes_on_disk(server.data / "stores") + bytes_on_disk(server.data / "vms") - before
            machine = story.client.get(story.lab_path("story-lab-1") + "/virtualMachines/0", LABS)
            self.assertEqual(machine["properties"]["state"], "Running")
            print(f"a template VM from a 40 GiB image: {seconds:.2f} s until it runs, {written >> 10} KiB written; {status['status']}")
            self.assertLess(written, CREATE_BYTES_MAX)


if __name__ == "__main__":
    unittest.main(verbosity=2)
