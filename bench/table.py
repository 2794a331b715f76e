"""Write the results into the main README, between two markers: ``python -m bench.table [RESULTS.json]``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from bench.chart import RESULTS, catch_up

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
HEAD = (
    "| scenario | native serial | native 8 threads | cdcd 1 writer | cdcd 4 writers | CPU s / 100k changes | RSS MiB |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


def table(entries: dict[str, Any]) -> str:
    """Return the Markdown table of catch-up entries, and a line that says what its columns mean."""
    rows = [_row(name, entry["result"]["contenders"]) for name, entry in entries.items()]
    first = next(iter(entries.values()))
    note = (
        "Seconds to catch up; in brackets, how many times as fast as native serial / native with 8 threads. CPU and RSS"
        f" are the daemon's\nwith 4 writers. MariaDB {first['mariadb'].split('-')[0]}, Python {first['python']},"
        f" {first['cpus']} CPUs shared by all, {first['date'][:10]}."
    )
    return "\n".join([*HEAD, *rows, "", note])


def _row(name: str, contenders: dict[str, Any]) -> str:
    most = contenders["cdcd_4_writers"]
    cells = [
        name.replace("_", " "),
        f"{contenders['native_serial']['seconds']:.1f} s",
        f"{contenders['native_8_threads']['seconds']:.1f} s",
        *(_seconds_and_times(contenders[each]) for each in ("cdcd_1_writer", "cdcd_4_writers")),
        f"{most['cpu_seconds_per_100k_changes']:.2f}",
        f"{most['rss_mib']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _seconds_and_times(figures: dict[str, Any]) -> str:
    times = f"{figures['times_native_serial']:.1f}x / {figures['times_native_8_threads']:.1f}x"
    return f"{figures['seconds']:.1f} s ({times})"


def put_between_markers(text: str, part: str) -> str:
    """Return the text with what stands between the markers replaced; raise ValueError when they are not there once."""
    replaced, times = re.subn(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{part}\n{END}", text, flags=re.DOTALL)
    if times != 1:
        raise ValueError(f"the README needs {BEGIN} and {END} once, and has them {times} times")
    return replaced


def main() -> None:
    """Write the table of a results file, results.json unless given."""
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    entries = catch_up(json.loads(results.read_text()))
    if not entries:
        raise SystemExit(f"{results} holds no catch-up result")
    if quick := [name for name, entry in entries.items() if entry["quick"]]:
        raise SystemExit(f"{results} is of a quick run, which says nothing: {', '.join(quick)}")
    README.write_text(put_between_markers(README.read_text(), table(entries)))


if __name__ == "__main__":
    main()
