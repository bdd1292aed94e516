"""Is anything slower than it was? The newest results of asv beside the stored baseline.

    make bench-history                                  # times this commit with asv, then this
    python -m benchmarks.history.compare                # the newest results under .asv/results
    python -m benchmarks.history.compare --keep         # makes them the baseline

Times are in units of `time_yardstick` of the same run, so that another machine, or a busy one, counts little. Ends with
exit code 1 where something takes 1.5 times as long as in the baseline. Two commits beside each other, in turn:
`asv continuous --interleave-rounds main HEAD`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

RESULTS, BASELINE = Path(".asv/results"), Path(__file__).with_name("baseline.json")
YARDSTICK = "sample.Sample.time_yardstick"
SLOWER = 1.5
"""Times as long as before; less is the machine's own."""


def newest(results: Path) -> dict[str, float]:
    """What every benchmark takes in units of the yardstick, in the newest results of asv.

    Parameters
    ----------
    results
        Folder with a folder of results for each machine.

    Returns
    -------
    dict[str, float]
        By name.

    Raises
    ------
    SystemExit
        There are none, or the yardstick was not among them.
    """
    files = [path for path in results.glob("*/*.json") if path.name != "machine.json"]
    if not files:
        raise SystemExit(f"{results}: expected results of asv, found none; run make bench-history")
    told = json.loads(max(files, key=lambda path: path.stat().st_mtime).read_text())
    times, values = (told["result_columns"].index(name) for name in ("result", "params"))
    seconds = {
        " ".join([name, *(each.strip("'") for each in chosen)]): time
        for name, row in told["results"].items()
        for time, chosen in zip(row[times] or [], itertools.product(*row[values]), strict=False)
        if time
    }
    if YARDSTICK not in seconds:
        raise SystemExit(f"{results}: expected {YARDSTICK} among the newest results, found none; time all benchmarks")
    return {name: each / seconds[YARDSTICK] for name, each in seconds.items() if name != YARDSTICK}


def compared(now: dict[str, float], before: dict[str, float]) -> tuple[str, bool]:
    """A table, and whether anything became slower.

    Parameters
    ----------
    now, before
        In units of the yardstick, by name.

    Returns
    -------
    tuple[str, bool]
        Lines, and True where something takes `SLOWER` times as long as before, or is missing.
    """
    lines, slower = [f"{'in units of the yardstick':40}{'before':>9}{'now':>9}{'ratio':>8}"], False
    for name in sorted({*now, *before}):
        if name not in now or name not in before:
            lines.append(f"{name:40}  {'not measured now' if name in before else 'new'}")
            slower |= name not in now
            continue
        ratio = now[name] / before[name]
        slower |= ratio > SLOWER
        lines.append(f"{name:40}{before[name]:9.2f}{now[name]:9.2f}{ratio:8.2f}{'  slower' * (ratio > SLOWER)}")
    return "\n".join(lines), slower


def main() -> None:
    """Print the table, or keep the baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--keep", action="store_true", help="make the newest results the baseline")
    arguments = parser.parse_args()
    now = newest(arguments.results)
    if arguments.keep:
        BASELINE.write_text(json.dumps({name: round(each, 3) for name, each in sorted(now.items())}, indent=2) + "\n")
    text, slower = compared(now, json.loads(BASELINE.read_text()))
    print(text)
    sys.exit(int(slower))


if __name__ == "__main__":
    main()
