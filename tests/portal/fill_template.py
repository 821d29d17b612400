#!/usr/bin/env python3
"""Writes two gigabytes that no compressor shrinks to the disk of the only (stopped) template VM of a server's data folder,
behind what its guest uses: the next export has something to do for some seconds.

Usage: fill_template.py DATA-FOLDER
"""

import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "journeys"))

from disks import template_overlay, write_into_overlay  # noqa: E402

PIECE = 256 << 20
PIECES = 8

overlay = template_overlay(SimpleNamespace(data=Path(sys.argv[1])))
for number in range(PIECES):
    write_into_overlay(overlay, (1 << 30) + number * PIECE, PIECE, seed=f"portal-{number}")
