"""Two revisions of cdcd side by side: the same backlogs, caught up with in turn, and what the new one takes of the old.

``python -m bench.revisions OLD NEW [SCENARIO ...] [--runs 7] [--writers 1 4]``: two checkouts that the same
``bash conf/install bench`` has prepared (what only tests need makes a start slower, by what structlog imports then).
Each backlog is recorded once; then each revision catches up with it once uncounted, and ``--runs`` times counted, in
turn, each time on a fresh copy of the data. Medians are printed, and the median of the ratios run by run, which holds
when the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.catchup import Result, cdcd
from bench.recorded import Recorded, recorded
from bench.suite import CATCH_UP, load
from bench.workload import Workload

FIGURES = {"seconds": "s", "seconds_from_connect": "s from connecting", "cpu_seconds": "s CPU"}


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure of both revisions, in seconds; ``ratio`` is the new one's to the old one's."""

    name: str
    old: float
    new: float
    ratio: float
    ratios: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.ratios
        figures = f"old {self.old:7.3f}  new {self.new:7.3f}  {self.ratio:.3f}x ({low:.2f} to {high:.2f})"
        return f"{FIGURES[self.name]:18} {figures}"


def compare(log: Recorded, old: Path, new: Path, writers: int, runs: int) -> Iterator[Compared]:
    """Let both catch up in turn; yield each figure."""
    pairs = [(_catch_up(log, old, writers), _catch_up(log, new, writers)) for _ in range(1 + runs)][1:]
    for name in FIGURES:
        olds, news = ([getattr(each, name) for each in side] for side in zip(*pairs, strict=True))
        ratios = [this / that for this, that in zip(news, olds, strict=True)]
        yield Compared(name, median(olds), median(news), median(ratios), (min(ratios), max(ratios)))


def _catch_up(log: Recorded, checkout: Path, writers: int) -> Result:
    with log.replica() as replica:
        return cdcd(log, replica, writers=writers, checkout=checkout)


def main() -> int:
    """Compare what was asked for, and print it."""
    arguments = _arguments()
    for name in arguments.names or CATCH_UP:
        workload: Workload = load(name).WORKLOAD
        with recorded(workload) as log:
            for writers in arguments.writers:
                print(f"{name}, {writers} writers, {arguments.runs} runs each", flush=True)
                for compared in compare(log, arguments.old, arguments.new, writers, arguments.runs):
                    print(f"  {compared}", flush=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.revisions", description=__doc__)
    parser.add_argument("old", type=Path, metavar="OLD", help="a checkout of one revision")
    parser.add_argument("new", type=Path, metavar="NEW", help="a checkout of the other")
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="which; all unless given")
    parser.add_argument("--runs", type=int, default=7, help="how many of each are counted")
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 4], help="with how many writers")
    arguments = parser.parse_args()
    for checkout in (arguments.old, arguments.new):
        if not (program := checkout / ".venv/bin/cdcd").exists():
            parser.error(f"{program} is missing; run bash conf/install bench there")
    if unknown := [name for name in arguments.names if name not in CATCH_UP]:
        parser.error(f"no scenario is called {', '.join(unknown)}; there are {', '.join(CATCH_UP)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
