"""`python -m napari_vidrecon`, for where the command is not on the path."""

from __future__ import annotations

import sys

from napari_vidrecon.cli import main

if __name__ == "__main__":
    sys.exit(main())
