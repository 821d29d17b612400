#!/usr/bin/env python3
"""The store's disk is full in the middle of an export: a clear error, nothing left behind, and it works once there is room."""

import subprocess
import unittest

import disks
from arm import COMPUTE, LABS
from server import Server, tiny_image
from story import Story

ROOM = 64 << 20
NEW_BYTES = 160 << 20


class DiskFullTest(unittest.TestCase):
    def test_a_full_disk_fails_one_export_cleanly(self):
        server = Server(hypervisor="fake")
        stores = server.data / "stores"
        stores.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(stores)], check=True)
        try:
            with server:
                self.export_into_the_full_store(server, stores)
        finally:
            server.end_left_processes()
            subprocess.run(["umount", "-l", str(stores)], check=True)

    def export_into_the_full_store(self, server, stores):
        story = Story(server.client(), tiny_image(), say=lambda *_: None)
        story.create_and_attach()
        story.upload_generalized()
        story.request_lab("story-lab-1", story.generalized, "ayumi", "Kyoshitsu-2026")
        vm = story.lab_path("story-lab-1") + "/virtualMachines/0"
        client = story.client
        client.done(client.post(vm + "/stop", LABS))
        overlay = disks.template_overlay(server)
        disks.write_into_overlay(overlay, 128 << 20, NEW_BYTES, "too much")
        images_before = disks.list_roots(stores / "japaneast")
        status = client.wait(client.post(story.plan + "/saveImage", LABS, {"name": "big", "labVirtualMachineId": vm}))
        self.assertEqual(status["status"], "Failed", status)
        self.assertIn("space", status["error"]["message"].lower(), status)
        self.assertNotIn(str(server.data), str(status), "a host path in an answer")
        self.assertEqual(disks.list_roots(stores / "japaneast"), images_before)
        disks.verify_store(stores / "japaneast")
        left = [path for path in stores.rglob("*") if "tmp" in path.name.lower() or "part" in path.name.lower()]
        self.assertEqual(left, [], "the failed export left temporary files behind")
        subprocess.run(["mount", "-o", f"remount,size={ROOM + 3 * NEW_BYTES}", str(stores)], check=True)
        again = client.done(client.post(story.plan + "/saveImage", LABS, {"name": "big", "labVirtualMachineId": vm}))
        version = client.get(again["properties"]["resourceId"], COMPUTE)
        self.assertEqual(version["properties"]["provisioningState"], "Succeeded")
        disks.verify_store(stores / "japaneast")


if __name__ == "__main__":
    unittest.main(verbosity=2)
