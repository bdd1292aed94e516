"""A study in a process of its own: what it tells, how it is stopped, and that it harms nobody when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("distributed")

import psutil

from napari_vidrecon.errors import RunError
from napari_vidrecon.studies.process import Ask, Left, run_apart, work

STUDY = """
from napari_vidrecon.studies.runs.run_spec import RunSpec
from napari_vidrecon.studies.study import Outcome, Study


def runs(plan):
    (mouse,) = plan.mice
    return [RunSpec(mouse, plan.scale.config().changed(steps=2), trial=0, frames=(4, 40))]


def evaluate(plan, store):
    import pandas as pd
    return Outcome(tables={"ones": pd.DataFrame({"one": [1]})})


STUDY = Study("bright", "A study", "none", runs, evaluate)
"""
NO_RUNS = STUDY.replace("    return [RunSpec", "    return []\n    return [RunSpec")
DIES = NO_RUNS.replace("    import pandas as pd\n", "    import os\n    os.kill(os.getpid(), 11)\n")
SLEEPS = NO_RUNS.replace("    import pandas as pd\n", "    import time\n    time.sleep(600)\n")


@pytest.fixture
def ask(small_session_folder: Path, small_encoder_file: Path, tmp_path: Path) -> Ask:
    """For the study `bright` of another package, on the small session."""
    mask = tmp_path / "mask.npy"
    np.save(mask, np.ones((36, 64), np.float32))
    mouse = {"name": "small", "session": str(small_session_folder), "encoders": [str(small_encoder_file)]}
    mice = tmp_path / "mice.json"
    mice.write_text(json.dumps([{**mouse, "mask": str(mask), "trials": [0]}]))
    return Ask(("bright",), "quick", str(tmp_path / "out"), str(mice), workers=1)


@pytest.fixture
def package(install_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("VIDRECON_LOGS", str(tmp_path / "logs"))
    return lambda code: install_package("lab_studies", code, {"studies": "bright = lab_studies:STUDY"})


@pytest.fixture
def left_over() -> Callable[[], set[psutil.Process]]:
    """Gives the processes that were started since and go on; those of other tests are not ours."""

    def family() -> set[psutil.Process]:
        return set(psutil.Process().children(recursive=True))

    before = family()
    return lambda: family() - before


# The window's own test conducts one so in every `make test`.
@pytest.mark.long
def test_a_study_is_conducted_by_a_process_that_is_gone_afterwards(ask: Ask, package, left_over) -> None:
    package(STUDY)
    news: list[dict] = []
    run_apart(ask, news.append, threading.Event())
    kinds = [next(iter(each)) for each in news]
    assert kinds[0] == "phase"
    assert kinds[-1] == "written"
    ((study, runs),) = [each["listed"] for each in news if "listed" in each]
    assert study == "bright"
    assert news[kinds.index("counted")]["counted"][1] == len(runs)
    assert all(Path(folder).is_dir() for folder, _ in runs)
    assert (Path(ask.out) / "bright" / "index.html").is_file()
    assert left_over() == set()
    estimated: list[dict] = []
    work(replace(ask, only_estimate=True), estimated.append, threading.Event())
    assert estimated[-1]["estimated"]["missing"] == 0


def test_a_study_that_kills_its_process_is_one_line_and_a_log(ask: Ask, package, left_over, tmp_path: Path) -> None:
    package(DIES)
    with pytest.raises(RunError, match=r"has died .*finished runs are kept"):
        run_apart(ask, lambda news: None, threading.Event())
    (log,) = (tmp_path / "logs").glob("*.txt")
    assert "Segmentation fault" in log.read_text()
    assert "lab_studies" in log.read_text()
    assert left_over() == set()


def test_what_is_at_fault_comes_as_its_own_line(ask: Ask, tmp_path: Path) -> None:
    mice = tmp_path / "none.json"
    mice.write_text("[]")
    with pytest.raises(RunError, match="expected a list of mice"):
        run_apart(replace(ask, mice=str(mice)), lambda news: None, threading.Event())


@pytest.mark.long
def test_a_study_that_cannot_be_left_is_ended_within_seconds(ask: Ask, package, left_over) -> None:
    package(SLEEPS)
    stopped = threading.Event()

    def stop_while_it_measures(news: dict) -> None:
        if "measuring" in news.get("phase", ""):
            stopped.set()

    began = time.monotonic()
    with pytest.raises(Left):
        run_apart(ask, stop_while_it_measures, stopped)
    assert time.monotonic() - began < 60
    assert left_over() == set()


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="asks for signals")
def test_a_script_without_a_guard_is_not_run_again_and_its_end_ends_the_study(ask: Ask, package, tmp_path) -> None:
    package(STUDY)
    script, marks = tmp_path / "script.py", tmp_path / "marks"
    script.write_text(
        textwrap.dedent(f"""
        import threading
        with open({str(marks)!r}, "a") as file:
            file.write("begun;")
        from napari_vidrecon.studies.process import Ask, run_apart
        run_apart({ask!r}, lambda news: print(news, flush=True), threading.Event())
        """)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    started = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    for line in started.stdout:
        if "counted" in line:
            break
    family = psutil.Process(started.pid).children(recursive=True)
    started.send_signal(signal.SIGKILL)
    started.wait()
    started.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert marks.read_text() == "begun;"
