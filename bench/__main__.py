"""Run benchmarks, keep their results and draw them: ``python -m bench [NAME ...] [--quick]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import chart, suite
from bench.chart import RESULTS
from tests.fixtures import mariadb


def main() -> int:
    """Run what was asked for; return 1 when one failed, after the others had their turn."""
    arguments = _arguments()
    if arguments.list:
        print("\n".join(suite.MODULES))
        return 0
    file: Path = arguments.json or RESULTS.with_stem("quick" if arguments.quick else "results")
    failed = [name for name in arguments.names or suite.MODULES if not run_one(name, arguments.quick, file)]
    draw(file, arguments.chart or file.with_suffix(".png"))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run_one(name: str, quick: bool, file: Path) -> bool:
    """Run one benchmark, print it, and merge its result into the file; return whether it went well."""
    print(f"{name}{' (quick)' if quick else ''}", flush=True)
    try:
        benchmark = suite.load(name)
        result = benchmark.run(quick)
        lines = benchmark.describe(result)
    except Exception:  # noqa: BLE001 - whatever one benchmark fails of, the others run.
        traceback.print_exc()
        return False
    print("".join(f"  {line}\n" for line in lines), flush=True)
    merge(file, name, {**environment(), "quick": quick, "result": result})
    return True


def environment() -> dict[str, Any]:
    """Return what a figure depends on, besides the code."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "mariadb": (mariadb.version() or "").split("Ver ")[-1].split(" ")[0],
        "python": platform.python_version(),
        "cdcd": version("cdcd"),
        "cpus": len(os.sched_getaffinity(0)),
    }


def merge(file: Path, name: str, entry: dict[str, Any]) -> None:
    """Put one benchmark's entry into the file, which keeps the others'; a reader never sees half a file."""
    entries = json.loads(file.read_text()) if file.exists() else {}
    entries[name] = entry
    ordered = {known: entries[known] for known in suite.MODULES if known in entries}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(ordered, indent=2) + "\n")
    temporary.replace(file)


def draw(file: Path, picture: Path) -> None:
    """Draw the catch-up results that the file holds, if it holds any."""
    if not file.exists() or not (entries := chart.catch_up(json.loads(file.read_text()))):
        return
    try:
        chart.draw(entries, picture)
    except ModuleNotFoundError as error:
        print(f"no chart: {error.name} is missing; bash conf/install bench", file=sys.stderr)
    else:
        print(f"{file} and {picture} are written")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to run; all unless given")
    parser.add_argument("--quick", action="store_true", help="about a tenth of the work, into quick.json")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where results go; bench/results/results.json")
    parser.add_argument("--chart", type=Path, metavar="FILE.png", help="the chart; beside the JSON file unless given")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in suite.MODULES]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(suite.MODULES)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
