"""Copy what the studies wrote about the simulated mouse into the gallery of the documentation.

    vidrecon study all --scale quick --out studies
    python docs/gallery.py studies

Writes docs/gallery.md, and small pictures to docs/gallery/, which are kept in the repository. With --whole pictures
keep their size, and the movies go there too: for a site, not to be committed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from PIL import Image

from napari_vidrecon.studies.catalogue import STUDIES
from napari_vidrecon.studies.page import CONTENTS

DOCS = Path(__file__).parent
WIDEST_PX, WHOLE_PX = 1100, 1950
VERDICTS = {True: "shows", False: "does **not** show", None: "cannot be told here"}
HEAD = """# What the studies write

Everything here is of the **simulated mouse** that comes with the package: no animal, no recording. It says whether the
program does what the paper does, not how a mouse sees. Below each picture: the panel of Bauer et al. 2026 that it is
made after. Written by

```bash
vidrecon study all --scale quick --out studies
python docs/gallery.py studies
```

Each study writes these pictures as SVG and PNG, its movies as MP4, the tables behind them as CSV and Parquet, its
statistics, and a page with all of it (`docs/studies.md`).{small}
"""
SMALL = """ The pictures here are small copies; the movies come with the
first command."""


def copied_picture(source: Path, target: Path, whole: bool) -> None:
    """A smaller copy of a picture, for the web."""
    widest = WHOLE_PX if whole else WIDEST_PX
    picture = Image.open(source).convert("RGB")
    if picture.width > widest:
        picture = picture.resize((widest, round(picture.height * widest / picture.width)), Image.Resampling.LANCZOS)
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(target, optimize=True)


def section(contents: dict, folder: Path, gallery: Path, whole: bool) -> list[str]:
    """The lines of one study; copies its files."""
    name = contents["study"]
    lines = [f"## {contents['title']}", "", f"`vidrecon study {name}`. Bauer et al. 2026: {contents['panels']}.", ""]
    for figure in contents["figures"]:
        picture = (folder / figure["file"]).with_suffix(".png")
        copied_picture(picture, gallery / name / picture.name, whole)
        lines += [f"![{figure['panel']}](gallery/{name}/{picture.name})", ""]
        lines += [f"*{figure['panel']} (simulated mouse).* {figure['caption']}", ""]
    for movie in contents["movies"]:
        source = folder / movie["file"]
        if whole:
            (gallery / name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, gallery / name / source.name)
            lines += [f"▶ [{source.name}](gallery/{name}/{source.name})", ""]
        else:
            lines += [f"▶ `studies/{name}/{movie['file']}`", ""]
        lines += [f"*{movie['panel']} (simulated mouse).* {movie['caption']}", ""]
    if contents["findings"]:
        lines += ["| result of the paper | here | numbers |", "|---|---|---|"]
        for finding in contents["findings"]:
            cells = (finding["statement"], VERDICTS[finding["shows"]], finding["numbers"])
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    for note in contents["notes"]:
        lines += [note, ""]
    return lines


def main() -> None:
    """Copy and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, help="what `vidrecon study all --out` wrote")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where gallery.md goes")
    parser.add_argument("--whole", action="store_true", help="movies too, and pictures in full size")
    arguments = parser.parse_args()
    lines = [HEAD.format(small="" if arguments.whole else SMALL)]
    gallery = arguments.docs / "gallery"
    for study in STUDIES:
        folder = arguments.studies / study.name
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        if not contents["simulated"]:
            raise SystemExit(f"{folder}: expected a study of the simulated mouse, found one of another")
        lines += section(contents, folder, gallery, arguments.whole)
    (arguments.docs / "gallery.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print(arguments.docs / "gallery.md")


if __name__ == "__main__":
    main()
