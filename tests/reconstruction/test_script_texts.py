"""Texts that repeat a run: whatever a name or a run's folder says stays a value, and comes back as it was."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.scripts import (
    Recipe,
    command_text,
    command_words,
    literal,
    python_text,
    shell_word,
    windows_word,
)

ODD = [
    *("sp ace", "q'uo\"te", "$(touch CANARY)", "`touch CANARY`", "a;touch CANARY;", "new\nline", "-dash", "~", "é漢"),
    *('"""+__import__("os").system("touch CANARY")+"""', "x\\", "{0}%s", "!!", "#", "*", "\x1b[2J\x03", "\t", "a\r"),
    *("\u202egnp.exe", os.fsdecode(b"no utf-8 \xff\xfe"), "\\'", "a'\n'b", "$'x'", ""),
]


@pytest.mark.parametrize("word", ODD, ids=ascii)
def test_a_word_reaches_the_command_as_it_was(word: str, tmp_path: Path) -> None:
    line = f"printf %s {shell_word(word)}"
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout == os.fsencode(word)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ODD, ids=ascii)
def test_a_literal_means_just_the_value(word: str) -> None:
    for value in (word, [word, word], (word,), {"path": Path(word)}["path"]):
        text = literal(value)
        assert text.isprintable()
        assert ast.literal_eval(text) == (str(value) if isinstance(value, Path) else value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {}, object(), 1j, [[{}]], Exception("x")])
def test_what_is_no_plain_value_is_no_literal(value: object) -> None:
    with pytest.raises(RunError, match="expected a plain value"):
        literal(value)


def odd_recipe(word: str) -> Recipe:
    path = Path("/data") / (word or "none")
    config = ReconstructionConfig.preset("fast", steps=3)
    return Recipe(
        session=path,
        trial=1,
        encoders=(path,),
        config=config,
        decoder=path,
        mask=path,
        neurons=path,
        neuron_reason=word,
        device=word,
        fingerprint=word,
    )


@pytest.mark.parametrize("word", ODD, ids=ascii)
def test_every_name_of_a_script_is_a_constant(word: str) -> None:
    recipe = odd_recipe(word)
    tree = ast.parse(python_text(recipe))
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert constants.count(str(recipe.session)) == 5
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert called <= {
        *("vr.open_session", "session.trial", "vr.load_encoder", "vr.Decoder.load", "vr.AlphaMask.load", "np.load"),
        *("vr.ReconstructionConfig.preset", "vr.NeuronSet", "vr.reconstruct", "result.save", "print"),
        "result.history.last",
    }
    assert ast.get_docstring(tree).startswith("Repeat the reconstruction of trial 1 (napari-vidrecon ")


def test_the_name_of_a_stimulus_stands_in_no_docstring() -> None:
    name = '"""\nimport os; os.system("touch CANARY")\n"""'
    recipe = Recipe(Path("s"), -1, (Path("e"),), ReconstructionConfig.preset("fast"), stimulus=(name, Path("m.npy")))
    tree = ast.parse(python_text(recipe))
    assert "CANARY" not in ast.get_docstring(tree)
    assert [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)].count(name) == 1
    with pytest.raises(RunError, match="copy it as Python") as raised:
        command_text(recipe)
    assert "\n" not in str(raised.value)


def test_a_session_whose_name_begins_with_a_dash_is_no_option() -> None:
    recipe = Recipe(Path("-rf"), 1, (Path("e"),), ReconstructionConfig.preset("fast"))
    assert command_words(recipe)[2] == "./-rf"


@pytest.mark.parametrize("word", ["a%PATH%", "$(calc)", "`calc`", "a\nb", "a!b!", 'a"b'])
def test_a_name_that_no_quotes_hold_on_windows_is_refused(word: str) -> None:
    with pytest.raises(RunError, match="copy it as Python"):
        windows_word(word)


def test_other_names_are_quoted_on_windows() -> None:
    assert windows_word("C:\\data\\mouse") == "C:\\data\\mouse"
    assert windows_word("a&calc") == '"a&calc"'
    assert windows_word("my data\\") == '"my data\\\\"'
    assert windows_word("") == '""'
