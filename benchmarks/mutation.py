"""Do the tests notice a wrong line? Small faults, each put into a module by itself, against that module's own tests.

    make mutation                                                       (all four; a quarter of an hour)
    python -m benchmarks.mutation metrics masks --mutants 60 --seed 0   (needs: pip install cosmic-ray)

The faults are cosmic-ray's: another operator, comparison, number or exception; `not`, `break`, `continue`, a decorator
or a keyword changed or gone; a loop that never runs. A seeded sample is drawn, at most one fault of a kind a place, so
that the operators that could stand for one `+` do not count as many. Not drawn, for nothing that runs can tell them
from the original: annotations that call nothing, `if TYPE_CHECKING`, `assert` (for the type checker), `strict=` of
`zip` (a guard for lengths that are equal already), and the f-strings inside a `raise`, which are words. What does not
compile is none.

Each fault is written into a copy of the repository, so that processes which tests start meet it, too, and tried in a
fork of a process that has imported all the tests need but the package. Killed: a test fails, an import fails, or the
time runs out (three times that of the unchanged module, and 20 s). Survived: all tests pass; the line is shown. Tests
that are long or measure time are left out. Needs a system that forks.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_BEHIND = shutil.ignore_patterns(".*", "site", "demo_output", "*.nwb")
RECONSTRUCTION = "tests/reconstruction/test_"
TESTS = {
    "metrics": ("metrics.py", ["tests/test_metrics.py", "tests/test_metric_inputs.py"]),
    "masks": (
        "reconstruction/masks.py",
        [f"{RECONSTRUCTION}{name}.py" for name in ("masks", "mask_shape", "damaged_masks_and_decoders")],
    ),
    "update": (
        "reconstruction/update.py",
        [f"{RECONSTRUCTION}{name}.py" for name in ("update", "chance", "spectral_prior")],
    ),
    "storage": ("storage/*.py", ["tests/storage"]),
}
"""Files below the package, and the tests that mirror them."""
MODULES_FILE = "modules_of_the_tests.json"
CONFIDENCE_SDS = 1.96


@dataclass(frozen=True)
class Fault:
    """One operator of cosmic-ray at one of its occurrences in a file."""

    path: Path
    operator: str
    occurrence: int
    place: tuple[int, int]

    @property
    def spot(self) -> tuple[Path, tuple[int, int], str]:
        """What one fault is drawn of: the place and the kind of operator."""
        return self.path, self.place, self.operator.split("/")[-1].split("_")[0]

    def applied(self) -> str | None:
        """The source with the fault, or None where nothing that runs is changed."""
        plugins, mutating = (importlib.import_module(f"cosmic_ray.{name}") for name in ("plugins", "mutating"))
        before = self.path.read_text(encoding="utf-8")
        try:
            after: str = mutating.mutate_code(before, plugins.get_operator(self.operator)(), self.occurrence)
            with warnings.catch_warnings(action="ignore"):
                compile(after, str(self.path), "exec")
        except (SyntaxError, AttributeError):
            # cosmic-ray 8.7 fails at an exception with a dot in its name.
            return None
        return None if _meaning(after) == _meaning(before) else after


class _Meaning(ast.NodeTransformer):
    """Takes out what nothing that runs can tell from the original."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("annotation", "returns"):
            said = getattr(node, field, None)
            # What calls something is pydantic's, which holds a file against it.
            if said is not None and not any(isinstance(each, ast.Call) for each in ast.walk(said)):
                setattr(node, field, ast.Constant(0))
        return super().generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.Pass()

    def visit_If(self, node: ast.If) -> ast.AST:
        return ast.Pass() if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) == "zip":
            node.keywords = []
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        for call in [each for each in ast.walk(node) if isinstance(each, ast.Call)]:
            call.args = [ast.Constant("") if isinstance(each, ast.JoinedStr) else each for each in call.args]
        return self.generic_visit(node)


def _meaning(source: str) -> str:
    return ast.dump(_Meaning().visit(ast.parse(source)))


def faults_in(path: Path) -> Iterator[Fault]:
    """Every fault that can be put into a file."""
    plugins, trees = (importlib.import_module(f"cosmic_ray.{name}") for name in ("plugins", "ast"))
    nodes = list(trees.ast_nodes(trees.get_ast(path.read_text(encoding="utf-8"))))
    for name in plugins.operator_names():
        kind = plugins.get_operator(name)
        if kind.arguments():
            continue
        places = [start for node in nodes for start, _ in kind().mutation_positions(node)]
        for occurrence, place in enumerate(places):
            yield Fault(path, name, occurrence, place)


def drawn(paths: list[Path], count: int, seed: int) -> Iterator[tuple[Fault, str]]:
    """A seeded sample, with the source that each makes."""
    every = [fault for path in paths for fault in faults_in(path)]
    random.Random(seed).shuffle(every)
    spots = set()
    for fault in every:
        if len(spots) == count:
            return
        if fault.spot not in spots and (source := fault.applied()) is not None:
            spots.add(fault.spot)
            yield fault, source


def _ordered(tests: list[str], path: Path) -> list[str]:
    """Files of tests, the one that is named after the module first: most faults end there."""
    files = [each for test in map(Path, tests) for each in (test.glob("test_*.py") if test.is_dir() else [test])]
    return [str(each) for each in sorted(files, key=lambda each: (each.stem != f"test_{path.stem}", str(each)))]


def _run_pytest(tests: list[str]) -> int:
    import pytest

    options = ["-x", "-q", "-n0", "-pno:cacheprovider", "--durations=0", "--hypothesis-seed=0", "--basetemp=tmp"]
    return int(pytest.main([*options, "-m", "not long and not timing", *tests]))


def _passes(tests: list[str], limit_s: float, *, remember: bool = False) -> bool:
    """Whether all tests pass, in a fork; `remember`: note which modules they needed."""
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            os.setsid()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            sys.dont_write_bytecode = not remember
            code = _run_pytest(tests)
            if remember:
                Path(MODULES_FILE).write_text(json.dumps(_modules_from_outside()), encoding="utf-8")
        os._exit(code)
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _modules_from_outside() -> list[str]:
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    return [name for name, file in files.items() if file and not Path(file).is_relative_to(Path.cwd())]


def _changed_line(before: str, after: str) -> str:
    lines = before.splitlines(), after.splitlines()
    for tag, first, last, other, end in difflib.SequenceMatcher(None, *lines, autojunk=False).get_opcodes():
        if tag != "equal":
            was, now = (" ".join(each).strip() for each in (lines[0][first:last], lines[1][other:end]))
            return f"{first + 1}: {was}  ->  {now or '(gone)'}"
    return "?"


def interval(killed: int, run: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, per cent."""
    share, z2 = killed / run, CONFIDENCE_SDS**2
    centre = (share + z2 / (2 * run)) / (1 + z2 / run)
    half = CONFIDENCE_SDS * math.sqrt(share * (1 - share) / run + z2 / (4 * run**2)) / (1 + z2 / run)
    return 100 * (centre - half), 100 * (centre + half)


def try_module(module: str, count: int, seed: int) -> None:
    """Run a sample on a module of the copy that is the present folder; say what survived."""
    pattern, tests = TESTS[module]
    paths = sorted(Path("napari_vidrecon").glob(pattern))
    start = time.monotonic()
    right = _passes(_ordered(tests, paths[0]), math.inf, remember=True)
    limit_s = 20 + 3 * (time.monotonic() - start)
    for name in json.loads(Path(MODULES_FILE).read_text(encoding="utf-8")) if right else []:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if not (right and _passes(_ordered(tests, paths[0]), limit_s)):
        raise SystemExit(f"{module}: the tests fail on the unchanged module")
    run = killed = 0
    for fault, source in drawn(paths, count, seed):
        original = fault.path.read_bytes()
        fault.path.write_text(source, encoding="utf-8")
        try:
            passed = _passes(_ordered(tests, fault.path), limit_s)
        finally:
            fault.path.write_bytes(original)
        run, killed = run + 1, killed + (not passed)
        if passed:
            print(f"survived {fault.path}:{_changed_line(original.decode(), source)}", flush=True)
    low, high = interval(killed, run)
    print(
        f"{module}: {killed} of {run} killed, {100 * killed / run:.0f} % ({low:.0f}-{high:.0f} %), seed {seed}, "
        f"{time.monotonic() - start:.0f} s",
        flush=True,
    )


def main() -> None:
    """Try the modules named, or all, in a copy of the repository."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(TESTS)}; none: all")
    parser.add_argument("--mutants", type=int, default=60, help="a module")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if unknown := set(arguments.modules) - set(TESTS):
        parser.error(f"expected {', '.join(TESTS)}, found {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        os.environ |= {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        try:
            for module in arguments.modules or TESTS:
                try_module(module, arguments.mutants, arguments.seed)
        finally:
            os.chdir(ROOT)


if __name__ == "__main__":
    main()
