#!/usr/bin/env python3
"""kill -9 of atelierd at 20 moments of an export: after a restart the operation succeeds, the store is clean, and the
exported disk is the template's, byte by byte."""

import random
import tempfile
import time
import unittest
from datetime import datetime
from pathlib import Path

import disks
from arm import COMPUTE, LABS
from server import Server, tiny_image
from story import Story

MOMENTS = 20
ATTEMPTS_MAX = 80
NEW_BYTES = 96 << 20  # written before each export, so that none of them has nothing to do
SCRATCH_OFFSET = 128 << 20


def seconds_of(status):
    """How long the operation ran, by the server's own times."""
    started, ended = (datetime.fromisoformat(status[field].replace("Z", "+00:00")) for field in ("startTime", "endTime"))
    return (ended - started).total_seconds()


class KillExportTest(unittest.TestCase):
    def prepare(self, server):
        story = Story(server.client(), tiny_image(), say=lambda *_: None)
        story.create_and_attach()
        story.upload_generalized()
        story.request_lab("story-lab-1", story.generalized, "ayumi", "Kyoshitsu-2026")
        story.vm = story.lab_path("story-lab-1") + "/virtualMachines/0"
        story.client.done(story.client.post(story.vm + "/stop", LABS))
        return story

    def export(self, story, name):
        return story.client.post(story.plan + "/saveImage", LABS, {"name": name, "labVirtualMachineId": story.vm})

    def exported_root(self, server, story, name):
        """The root that the version names, found by the label of the store's own record."""
        version = (story.image_path(name) + "/versions/1.0.0").lower()
        roots = [image["root"] for image in disks.list_roots(server.data / "stores" / "japaneast")
                 if image.get("label", "").lower() == version]
        self.assertEqual(len(roots), 1, f"records of {name}: {roots}")
        return roots[0]

    def test_an_export_survives_a_kill_at_any_moment(self):
        with Server(hypervisor="fake") as server, tempfile.TemporaryDirectory() as scratch:
            story = self.prepare(server)
            overlay = disks.template_overlay(server)
            disks.write_into_overlay(overlay, SCRATCH_OFFSET, NEW_BYTES, "unhurried")
            duration = seconds_of(story.client.done(self.export(story, "unhurried")))
            chance = random.Random(2026)
            interrupted = attempts = 0
            while interrupted < MOMENTS and attempts < ATTEMPTS_MAX:
                attempts += 1
                name = f"killed-{attempts}"
                disks.write_into_overlay(overlay, SCRATCH_OFFSET, NEW_BYTES, name)
                answer = self.export(story, name)
                time.sleep(duration * chance.random())
                server.kill()
                story.client.close()
                server.start()
                status = story.client.done(answer)
                if status["properties"]["attempts"] > 1:
                    interrupted += 1
                else:  # it was over before the kill: aim earlier from now on
                    duration = min(duration, seconds_of(status))
                raw = disks.store_as_raw(server.data / "stores" / "japaneast", self.exported_root(server, story, name),
                                         Path(scratch) / "exported.raw")
                template = disks.overlay_as_raw(overlay, Path(scratch) / "template.raw")
                self.assertTrue(disks.same_bytes(raw, template), f"{name}: the exported disk is not the template's")
                raw.unlink()
                version = story.client.get(story.image_path(name) + "/versions/1.0.0", COMPUTE)
                self.assertEqual(version["properties"]["provisioningState"], "Succeeded")
            server.stop()
            for region in ("japaneast", "japanwest"):
                disks.verify_store(server.data / "stores" / region)
            print(f"{attempts} kills, {interrupted} of them while an export of about {duration:.2f} s ran")
            self.assertEqual(interrupted, MOMENTS, "too many kills missed the export")


if __name__ == "__main__":
    unittest.main(verbosity=2)
