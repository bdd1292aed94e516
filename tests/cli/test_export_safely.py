"""`vidrecon export` of a run that somebody else made, onto names where something stands."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CANARY = "CANARY"
HOSTILE = f'x"""\nimport os; os.system("touch {CANARY}")\n"""'


def tell(run: Path, **told: Any) -> None:
    described = json.loads((run / "zarr.json").read_text())
    described["attributes"]["provenance"].update(told)
    (run / "zarr.json").write_text(json.dumps(described))


def test_what_a_run_from_elsewhere_says_never_runs(
    vidrecon, one_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"session": HOSTILE, "encoders": [HOSTILE], "frames": None, "device": HOSTILE, "mouse": HOSTILE}
    tell(one_run, session=HOSTILE, inputs=inputs, decoder=HOSTILE, target={"kind": HOSTILE}, ensemble=HOSTILE)
    script = tmp_path / f"{HOSTILE[:4]}.py"
    monkeypatch.chdir(tmp_path)
    assert vidrecon("export", one_run, "--script", script).code == 0
    tree = ast.parse(script.read_text())
    assert CANARY not in (ast.get_docstring(tree) or "")
    assert not any(isinstance(node, ast.Import) and node.names[0].name == "os" for node in ast.walk(tree))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode != 0
    assert not (tmp_path / CANARY).exists()


@pytest.mark.parametrize("name", ["trial", "target", "mask_threshold", "evaluation_threshold"])
def test_a_run_that_does_not_say_what_it_was_made_with_has_no_script(
    vidrecon, one_run: Path, tmp_path: Path, name: str
) -> None:
    described = json.loads((one_run / "zarr.json").read_text())
    del described["attributes"]["provenance"][name]
    (one_run / "zarr.json").write_text(json.dumps(described))
    answer = vidrecon("export", one_run, "--script", tmp_path / "a.py", "--table", tmp_path / "a.csv")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert f"its {name}" in answer.err
    assert not list(tmp_path.glob("a*"))


@pytest.mark.parametrize("option", ["--movie a.tif", "--figure a.png", "--table a.csv", "--script a.py"])
def test_a_folder_of_that_name_stays_and_nothing_else_is_written(
    vidrecon, one_run: Path, tmp_path: Path, option: str
) -> None:
    name, file = option.split()
    (tmp_path / file).mkdir()
    (tmp_path / file / "precious.txt").write_text("precious")
    other = ("--table", tmp_path / "b.csv") if name != "--table" else ("--script", tmp_path / "b.py")
    answer = vidrecon("export", one_run, *other, name, tmp_path / file)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "found a folder" in answer.err
    assert (tmp_path / file / "precious.txt").read_text() == "precious"
    assert not list(tmp_path.glob("b*"))


def test_a_name_full_of_dollars_is_a_title_and_no_formula(vidrecon, one_run: Path, tmp_path: Path) -> None:
    tell(one_run, session="a $\\frac{$ \ud800 \x1b[2J", simulated=False)
    assert vidrecon("export", one_run, "--figure", tmp_path / "a.svg").code == 0
    assert "\\frac{" in (tmp_path / "a.svg").read_text()
    assert vidrecon("info", one_run).code == 0
