"""Run the notebooks and keep what they show, small; fails where one fails, takes too long, or grows too large.

python notebooks/execute.py            # or: make notebooks
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
LONGEST_S, LARGEST_BYTES = 120, 400_000


def run(file: Path) -> str:
    """Run one in place; returns what is wrong with it, or nothing."""
    book = nbformat.read(file, as_version=4)
    began = time.monotonic()
    NotebookClient(book, timeout=LONGEST_S, kernel_name="python3", resources={"metadata": {"path": FOLDER}}).execute()
    took = time.monotonic() - began
    for cell in book.cells:
        # When a cell was run is no news, and would change the file with every run.
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    book.metadata = {"kernelspec": book.metadata["kernelspec"], "language_info": {"name": "python"}}
    nbformat.write(book, file)
    size = file.stat().st_size
    print(f"{file.name}: {took:.0f} s, {size / 1000:.0f} kB", flush=True)
    if took > LONGEST_S:
        return f"{file.name}: expected at most {LONGEST_S} s, took {took:.0f} s"
    return f"{file.name}: expected at most {LARGEST_BYTES} bytes, found {size}" if size > LARGEST_BYTES else ""


if __name__ == "__main__":
    wrong = [told for file in sorted(FOLDER.glob("*.ipynb")) if (told := run(file))]
    sys.exit("\n".join(wrong) or None)
