"""`python -m benchmarks.speed`: speed beside the published loop, in a checkout; the same as `vidrecon bench`."""

from __future__ import annotations

import sys

from benchmarks.speed.command import run
from napari_vidrecon.cli.guarding import guarded

sys.exit(guarded(run, sys.argv[1:], whole_process=True))
