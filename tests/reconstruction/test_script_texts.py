"""Texts that repeat a run: whatever a name or a run's folder says stays a value, and comes back as it was."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.script_texts import (
    command_text,
    command_words,
    literal,
    python_text,
    shell_word,
    windows_word,
)
from napari_vidrecon.reconstruction.scripts import Script

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


def odd_script(word: str) -> Script:
    path = Path("/data") / (word or "none")
    recipe = Recipe(
        session=str(path),
        trial=1,
        encoders=(str(path),),
        config=ReconstructionConfig.preset("fast", steps=3),
        decoder=str(path),
        decoder_content="known",
        neurons=word,
        device=word,
    )
    return Script(recipe, mask=path, neurons=path, fingerprint=word)


@pytest.mark.parametrize("word", ODD, ids=ascii)
def test_every_name_of_a_script_is_a_constant(word: str) -> None:
    script = odd_script(word)
    tree = ast.parse(python_text(script))
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert constants.count(script.recipe.session) == 5
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert called <= {
        *("vr.open_session", "session.trial", "vr.load_encoder", "vr.Decoder.load", "vr.AlphaMask.load", "np.load"),
        *("vr.ReconstructionConfig.preset", "vr.NeuronSet", "vr.reconstruct", "result.save", "print", "len", "load"),
        "result.history.last",
    }
    assert ast.get_docstring(tree).startswith("Repeat the reconstruction of trial 1 (napari-vidrecon ")


def test_the_name_of_a_stimulus_stands_in_no_docstring() -> None:
    name = '"""\nimport os; os.system("touch CANARY")\n"""'
    recipe = Recipe(session="s", encoders=("e",), config=ReconstructionConfig.preset("fast"), stimulus=name)
    script = Script(recipe, stimulus=Path("m.npy"))
    tree = ast.parse(python_text(script))
    assert "CANARY" not in ast.get_docstring(tree)
    assert [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)].count(name) == 1
    words = command_words(script)
    assert words[words.index("--stimulus-name") + 1] == name
    assert "\n" not in command_text(script)


def test_a_session_whose_name_begins_with_a_dash_is_no_option() -> None:
    recipe = Recipe(session="-rf", trial=1, encoders=("e",), config=ReconstructionConfig.preset("fast"))
    assert command_words(Script(recipe))[2] == "./-rf"


@pytest.mark.parametrize("word", ["a%PATH%", "$(calc)", "`calc`", "a\nb", "a!b!", 'a"b'])
def test_a_name_that_no_quotes_hold_on_windows_is_refused(word: str) -> None:
    with pytest.raises(RunError, match="copy it as Python"):
        windows_word(word)


def test_other_names_are_quoted_on_windows() -> None:
    assert windows_word("C:\\data\\mouse") == "C:\\data\\mouse"
    assert windows_word("a&calc") == '"a&calc"'
    assert windows_word("my data\\") == '"my data\\\\"'
    assert windows_word("") == '""'
