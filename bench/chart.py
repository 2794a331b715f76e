"""Draw how fast each contender caught up, as one picture: ``python -m bench.chart [RESULTS.json] [CHART.png]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench import suite

RESULTS = Path(__file__).parent / "results" / "results.json"

SERIES = {
    "native_serial": ("MariaDB native, serial", "#b8bec7"),
    "native_8_threads": ("MariaDB native, 8 threads", "#7d8794"),
    "cdcd_1_writer": ("cdcd, 1 writer", "#f2a65a"),
    "cdcd_4_writers": ("cdcd, 4 writers", "#d9601a"),
}
"""What is drawn for each contender, in order: its name in the legend, and its colour."""

TITLE = "Catching up, against MariaDB's own replication"
UNIT = "times_native_serial"
INK = "#333a45"
HEAD_INCHES, FOOT_INCHES = 1.0, 1.2
BAR = 0.21
"""The height of a bar; scenarios are 1 apart."""


def catch_up(entries: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of scenarios that were caught up with, in the order in which they are shown."""
    return {name: entries[name] for name in suite.CATCH_UP if name in entries}


def draw(entries: dict[str, Any], picture: Path) -> None:
    """Draw catch-up entries; raise ModuleNotFoundError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, HEAD_INCHES + FOOT_INCHES + len(entries)), dpi=120)
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.2, right=0.97, top=1 - HEAD_INCHES / height, bottom=FOOT_INCHES / height)
    _bars(axes, entries)
    _frame(axes, entries)
    left: dict[str, Any] = {"x": 0.02, "ha": "left", "va": "center", "color": INK}
    figure.text(y=1 - 0.35 / height, s=TITLE, fontsize=16, fontweight="bold", **left)
    figure.text(y=0.35 / height, s=_footnote(entries), fontsize=9, linespacing=1.5, **left)
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (0.015, 1 - 0.75 / height), "borderaxespad": 0}
    figure.legend(ncols=len(SERIES), frameon=False, fontsize=11, labelcolor=INK, handlelength=1.2, **place)
    figure.savefig(picture)
    pyplot.close(figure)


def _bars(axes: Any, entries: dict[str, Any]) -> None:
    contenders = [entry["result"]["contenders"] for entry in entries.values()]
    for series, (name, (label, colour)) in enumerate(SERIES.items()):
        places = [scenario + (series - 1.5) * BAR for scenario in range(len(contenders))]
        bars = axes.barh(places, [each[name][UNIT] for each in contenders], BAR * 0.9, label=label, color=colour)
        texts = [_label(name, each[name]) for each in contenders]
        shade = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}  # Over the grid and the line at 1.
        axes.bar_label(bars, texts, padding=4, fontsize=9.5, color=INK, bbox=shade)


def _label(name: str, figures: dict[str, Any]) -> str:
    if name == "native_serial":
        return f"1x ({figures['seconds']:.1f} s)"
    times = figures[UNIT]
    return f"{times:.{2 if times < 1 else 1 if times < 10 else 0}f}x"


def _frame(axes: Any, entries: dict[str, Any]) -> None:
    axes.set_yticks(range(len(entries)), [""] * len(entries))
    for scenario, (name, entry) in enumerate(entries.items()):
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right", "color": INK}
        axes.annotate(name.replace("_", " "), (0, scenario), (-8, 1), va="bottom", fontsize=11.5, **place)
        axes.annotate(_size(entry["result"]), (0, scenario), (-8, -2), va="top", fontsize=9, alpha=0.75, **place)
    axes.set_ylim(len(entries) - 0.45, -0.55)
    axes.margins(x=0.08)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlabel("transactions per second, as a multiple of MariaDB's serial replication", color=INK, labelpad=8)
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.xaxis.grid(True, color="#e4e7eb")
    axes.set_axisbelow(True)


def _size(result: dict[str, Any]) -> str:
    return f"{result['transactions']:,} transactions\n{result['changes']:,} row changes"


def _footnote(entries: dict[str, Any]) -> str:
    first = next(iter(entries.values()))
    quick = "  Quick run: too small to mean anything." if any(entry["quick"] for entry in entries.values()) else ""
    return (
        "One backlog for all four, each on its own copy of the data, in one run; both servers durable"
        " (sync_binlog = 1, innodb_flush_log_at_trx_commit = 1);\nrows equal at the end."
        f" In brackets: seconds. MariaDB {first['mariadb'].split('-')[0]}, {first['cpus']} CPUs shared by all,"
        f" {first['date'][:10]}.{quick}"
    )


def main() -> None:
    """Draw a file of results; the picture goes beside it unless it is named."""
    given = [Path(argument) for argument in sys.argv[1:]]
    results = given[0] if given else RESULTS
    draw(catch_up(json.loads(results.read_text())), given[1] if len(given) > 1 else results.with_suffix(".png"))


if __name__ == "__main__":
    main()
