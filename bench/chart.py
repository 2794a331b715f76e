"""Draw how fast each contender caught up, as one picture: ``python -m bench.chart [RESULTS.json] [CHART.png]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench import suite

RESULTS = Path(__file__).parent / "results" / "results.json"

SERIES = {
    "native_serial": ("MariaDB, serial", "#b8bec7"),
    "native_8_threads": ("MariaDB, 8 threads", "#7d8794"),
    "cdcd_1_writer": ("cdcd, 1 writer", "#f2a65a"),
    "cdcd_4_writers": ("cdcd, 4 writers", "#d9601a"),
}
"""What is drawn for each contender, in order: its name in the legend, and its colour."""

INK = "#333a45"
BAR = 0.2
"""The width of a bar; scenarios are 1 apart."""


def catch_up(entries: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of scenarios that were caught up with, in the order in which they are shown."""
    return {name: entries[name] for name in suite.CATCH_UP if name in entries}


def draw(entries: dict[str, Any], picture: Path) -> None:
    """Draw catch-up entries; raise ModuleNotFoundError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 1.6 + 0.95 * len(entries)), dpi=120, layout="constrained")
    _bars(axes, entries)
    _frame(axes, entries)
    figure.suptitle("Catching up: how many times as fast as MariaDB's serial replication", x=0.01, ha="left",
                    fontsize=15, fontweight="bold", color=INK)  # fmt: skip
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=len(SERIES), frameon=False,
                  fontsize=11, labelcolor=INK)  # fmt: skip
    figure.supxlabel(_footnote(entries), x=0.01, ha="left", fontsize=9, color=INK)
    figure.savefig(picture)
    pyplot.close(figure)


def _bars(axes: Any, entries: dict[str, Any]) -> None:
    contenders = [entry["result"]["contenders"] for entry in entries.values()]
    for series, (name, (label, colour)) in enumerate(SERIES.items()):
        places = [scenario + (series - 1.5) * BAR for scenario in range(len(contenders))]
        times = [each[name]["times_native_serial"] for each in contenders]
        bars = axes.barh(places, times, BAR * 0.92, label=label, color=colour)
        axes.bar_label(bars, [f"{value:.1f}x" for value in times], padding=3, fontsize=9, color=INK)


def _frame(axes: Any, entries: dict[str, Any]) -> None:
    axes.set_yticks(range(len(entries)), [_title(name, entry) for name, entry in entries.items()], fontsize=11)
    axes.invert_yaxis()
    axes.margins(x=0.06, y=0.02)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=3)
    axes.set_xlabel("transactions per second, MariaDB serial = 1", color=INK)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.xaxis.grid(True, color="#e4e7eb")
    axes.set_axisbelow(True)


def _title(name: str, entry: dict[str, Any]) -> str:
    result = entry["result"]
    return f"{name.replace('_', ' ')}\n{result['changes'] / 1000:,.0f}k changes, {result['transactions']:,} tx"


def _footnote(entries: dict[str, Any]) -> str:
    first = next(iter(entries.values()))
    quick = "  QUICK RUN: too small to say anything." if any(entry["quick"] for entry in entries.values()) else ""
    return (
        f"Same backlog, same durability (sync_binlog = 1, innodb_flush_log_at_trx_commit = 1), rows equal at the end."
        f" MariaDB {first['mariadb']}, {first['cpus']} CPUs, {first['date'][:10]}.{quick}"
    )


def main() -> None:
    """Draw a file of results; the picture goes beside it unless it is named."""
    given = [Path(argument) for argument in sys.argv[1:]]
    results = given[0] if given else RESULTS
    draw(catch_up(json.loads(results.read_text())), given[1] if len(given) > 1 else results.with_suffix(".png"))


if __name__ == "__main__":
    main()
