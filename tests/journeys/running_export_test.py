#!/usr/bin/env python3
"""Exports of running template VMs: of a guest with an agent and of one without, and with kill -9 of atelierd in the middle."""

import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import disks
from arm import COMPUTE, LABS
from server import BIN, ROOT, Server, tiny_image
from story import REGION, Story

TEACHER = ("ayumi", "Kyoshitsu-2026")
COUNT = "(i=0; while :; do i=$((i+1)); echo $i >next; sync next; mv next count; done) </dev/null >/dev/null 2>&1 &"
ROOT_PARTITION = "?offset=24117248"  # as e2fsprogs take it


def image_without_agent():
    image = ROOT / "build" / "tiny-image" / "tiny-without-agent.qcow2"
    if not image.exists():
        image.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([str(ROOT / "packaging" / "tiny-image" / "build.sh"), str(image), "generalized", "without-agent"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return image


class RunningExportTest(unittest.TestCase):
    def prepare(self, server, image, prefix):
        """A lab whose running guest counts in a file, each number made durable before the next."""
        story = Story(server.client(), image, prefix, say=lambda *_: None)
        story.create_and_attach()
        story.upload_generalized()
        story.guest, _ = story.create_lab(f"{prefix}-lab-1", story.generalized, *TEACHER)
        story.vm = story.lab_path(f"{prefix}-lab-1") + "/virtualMachines/0"
        story.guest.run(COUNT)
        return story

    def export(self, story, name):
        return story.client.post(story.plan + "/saveImage", LABS, {"name": name, "labVirtualMachineId": story.vm})

    def version(self, story, name):
        return story.client.get(story.image_path(name) + "/versions/1.0.0", COMPUTE)

    def expect_guest_goes_on(self, server, story):
        machine = story.client.get(story.vm, LABS)
        self.assertEqual(machine["properties"]["state"], "Running")
        before = int(story.guest.run("cat count"))
        story.guest.run("echo written >after && sync after")
        self.assertGreater(int(story.guest.run("sleep 1; cat count")), before)
        left = [path.name for path in (server.data / "vms").rglob("*") if path.name in ("scratch.qcow2", "nbd.sock")]
        self.assertEqual(left, [], "the backup left files behind")

    def exported_disk(self, server, story, name, folder):
        label = (story.image_path(name) + "/versions/1.0.0").lower()
        store = server.data / "stores" / REGION
        roots = [image["root"] for image in disks.list_roots(store) if image.get("label", "").lower() == label]
        self.assertEqual(len(roots), 1, roots)
        raw = disks.store_as_raw(store, roots[0], folder / f"{name}.raw")
        # What was taken over unread is what a scan of the whole disk gives.
        scanned = folder / f"{name}-store"
        subprocess.run([str(BIN / "atelier"), "store", "init", str(scanned)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([str(BIN / "atelier"), "store", "put", str(scanned), str(raw)], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual([image["root"] for image in disks.list_roots(scanned)], roots)
        return raw

    def count_in(self, raw):
        shown = subprocess.run(["debugfs", "-R", f"cat /home/{TEACHER[0]}/count", str(raw) + ROOT_PARTITION], check=True,
                               capture_output=True, text=True)
        return int(shown.stdout)

    def expect_it_boots(self, story, name, at_least):
        guest, _ = story.create_lab(f"{story.prefix}-of-{name}", story.image_path(name), *TEACHER)
        self.assertGreaterEqual(int(guest.run("cat count")), at_least)
        self.assertEqual(guest.attempt("dmesg | grep -i 'ext4-fs error'").stdout, "")
        story.client.done(story.client.delete(story.lab_path(f"{story.prefix}-of-{name}"), LABS))

    def wait_for_log(self, server, text, start):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with open(server.log, errors="replace") as log:
                log.seek(start)
                if text in log.read():
                    return
            time.sleep(0.002)
        raise AssertionError(f"the log does not say {text!r}:\n{server.log_tail()}")

    def test_a_guest_with_an_agent(self):
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            story = self.prepare(server, tiny_image(), "agent")
            before = int(story.guest.run("cat count"))
            status = story.client.done(self.export(story, "frozen"))
            after = int(story.guest.run("cat count"))
            self.assertEqual(status["properties"]["consistencyMode"], "FileSystemConsistent")
            self.assertEqual(self.version(story, "frozen")["properties"]["atelier"]["consistencyMode"], "FileSystemConsistent")
            self.expect_guest_goes_on(server, story)
            raw = self.exported_disk(server, story, "frozen", Path(folder))
            checked = subprocess.run(["e2fsck", "-fn", str(raw) + ROOT_PARTITION], capture_output=True, text=True)
            self.assertEqual(checked.returncode, 0, checked.stdout)
            self.assertLessEqual(before, self.count_in(raw))
            self.assertLessEqual(self.count_in(raw), after)
            self.kill_in_the_middle(server, story)
            self.expect_it_boots(story, "frozen", before)

    def kill_in_the_middle(self, server, story):
        """While the guest is frozen, and while its disk is read."""
        for name, moment in (("while-frozen", "file systems are frozen"), ("while-read", "is kept, with")):
            start = server.log.stat().st_size
            answer = self.export(story, name)
            self.wait_for_log(server, moment, start)
            server.kill()
            story.client.close()
            server.start()
            status = story.client.done(answer)
            self.assertEqual(status["properties"]["consistencyMode"], "FileSystemConsistent", name)
            print(f"killed {name}: {status['properties']['attempts']} attempts")
            self.expect_guest_goes_on(server, story)
        disks.verify_store(server.data / "stores" / REGION)

    def test_a_guest_without_an_agent(self):
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            story = self.prepare(server, image_without_agent(), "bare")
            before = int(story.guest.run("cat count"))
            status = story.client.done(self.export(story, "torn"))
            self.assertEqual(status["properties"]["consistencyMode"], "CrashConsistent")
            self.assertEqual(self.version(story, "torn")["properties"]["atelier"]["consistencyMode"], "CrashConsistent")
            self.expect_guest_goes_on(server, story)
            self.exported_disk(server, story, "torn", Path(folder))
            self.expect_it_boots(story, "torn", before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
