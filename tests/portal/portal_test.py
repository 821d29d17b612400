#!/usr/bin/env python3
"""The story by hand in a real browser, in English and in Japanese, against a real atelierd with real virtual machines.

Screenshots of every page go to ATELIER_SCREENSHOTS (default: build/screenshots).
"""

import os
import shlex
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "journeys"))

from server import PASSWORD, Server, tiny_image  # noqa: E402
from story import Story  # noqa: E402

DISK = "6G"  # room behind the tiny image's own half gigabyte
LABS = "2022-08-01"


def roomy_image(folder):
    """The tiny image on a larger disk, so that an export can be made to take a while."""
    image = Path(folder) / "roomy.qcow2"
    shutil.copyfile(tiny_image(), image)
    subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", str(image), DISK], check=True, stdin=subprocess.DEVNULL)
    return image


class PortalTest(unittest.TestCase):
    def play(self, language):
        shots = Path(os.environ.get("ATELIER_SCREENSHOTS", ROOT / "build" / "screenshots")) / language
        shots.mkdir(parents=True, exist_ok=True)
        with Server() as server:
            client = server.client()
            story = Story(client, roomy_image(server.data), prefix="contoso", say=lambda *_: None)
            story.create_and_attach()
            story.upload_generalized()
            client.done(client.patch(story.plan, LABS, {"properties": {"sharedGalleryId": None}}))
            fill = [sys.executable, str(ROOT / "tests" / "portal" / "fill_template.py"), str(server.data)]
            browser = subprocess.run(["node", "--test", str(ROOT / "tests" / "portal" / "story.spec.mjs")],
                                     env=dict(os.environ, ATELIER_URL=server.url, ATELIER_USER="admin", ATELIER_PASSWORD=PASSWORD,
                                              ATELIER_LANGUAGE=language, ATELIER_SCREENSHOTS=str(shots),
                                              ATELIER_BEFORE_EXPORT=shlex.join(fill), NODE_EXTRA_CA_CERTS=str(server.ca)),
                                     stdin=subprocess.DEVNULL, timeout=900)
            client.close()
            self.assertEqual(browser.returncode, 0)

    def test_the_story_in_english(self):
        self.play("en")

    def test_the_story_in_japanese(self):
        self.play("ja")


if __name__ == "__main__":
    unittest.main(verbosity=2)
