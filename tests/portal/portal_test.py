#!/usr/bin/env python3
"""The story by hand in a real browser, in English and in Japanese, against a real atelierd with real virtual machines.

Screenshots of every page go to ATELIER_SCREENSHOTS (default: build/screenshots).
"""

import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "journeys"))

from server import PASSWORD, Server, tiny_image  # noqa: E402
from story import Story  # noqa: E402


class PortalTest(unittest.TestCase):
    def play(self, language):
        shots = Path(os.environ.get("ATELIER_SCREENSHOTS", ROOT / "build" / "screenshots")) / language
        shots.mkdir(parents=True, exist_ok=True)
        with Server() as server:
            story = Story(server.client(), tiny_image(), prefix="contoso", say=lambda *_: None)
            story.create_and_attach()
            story.upload_generalized()
            story.client.done(story.client.patch(story.plan, "2022-08-01", {"properties": {"sharedGalleryId": None}}))
            browser = subprocess.run(["node", "--test", str(ROOT / "tests" / "portal" / "story.spec.mjs")],
                                     env=dict(os.environ, ATELIER_URL=server.url, ATELIER_USER="admin", ATELIER_PASSWORD=PASSWORD,
                                              ATELIER_LANGUAGE=language, ATELIER_SCREENSHOTS=str(shots),
                                              NODE_EXTRA_CA_CERTS=str(server.ca)),
                                     stdin=subprocess.DEVNULL, timeout=900)
            self.assertEqual(browser.returncode, 0)

    def test_the_story_in_english(self):
        self.play("en")

    def test_the_story_in_japanese(self):
        self.play("ja")


if __name__ == "__main__":
    unittest.main(verbosity=2)
