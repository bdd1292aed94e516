"""Before a release is built: the README's links become absolute, and the package says where its repository is.

    python .github/release_addresses.py ADDRESS REF

A registry's page shows neither pictures nor pages by relative names. The repository itself keeps relative ones, which
hold in every copy of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")
PICTURES = (".png", ".gif", ".svg", ".jpg")


def absolute(text: str, address: str, ref: str) -> str:
    """The README with every relative link made absolute."""

    def changed(found: re.Match[str]) -> str:
        mark, words, target = found.groups()
        kind = "raw" if mark or target.endswith(PICTURES) else "blob"
        return f"{mark}[{words}]({address}/{kind}/{ref}/{target})"

    return LINK.sub(changed, text)


def main(address: str, ref: str) -> None:
    """Change README.md and pyproject.toml in place."""
    readme, project = ROOT / "README.md", ROOT / "pyproject.toml"
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), address, ref), encoding="utf-8")
    pages = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md"}
    places = {"Source": address, "Issues": f"{address}/issues"}
    places |= {name: f"{address}/blob/{ref}/{page}" for name, page in pages.items()}
    lines = "".join(f'{name} = "{place}"\n' for name, place in places.items())
    text = project.read_text(encoding="utf-8")
    if "[project.urls]\n" not in text:
        raise SystemExit("pyproject.toml: expected a table [project.urls], found none")
    project.write_text(text.replace("[project.urls]\n", f"[project.urls]\n{lines}", 1), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2])
