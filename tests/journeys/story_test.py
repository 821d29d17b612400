#!/usr/bin/env python3
"""The whole story on real virtual machines, and what it costs."""

import unittest

from server import Server, tiny_image
from story import Story


class StoryTest(unittest.TestCase):
    def test_the_story_holds_on_real_virtual_machines(self):
        with Server() as server:
            story = Story(server.client(), tiny_image())
            story.play()
            story.clean_up()
            left = [folder.name for folder in (server.data / "vms").iterdir()]
            self.assertEqual(left, [], "deleted labs left folders behind")


if __name__ == "__main__":
    unittest.main(verbosity=2)
