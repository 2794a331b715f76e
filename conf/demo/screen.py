"""The live display: redrawn in place on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from conf.demo.figures import Figures
from tests.fixtures.mariadb import MariaDB

REDRAW_SECONDS = 0.5
LINE_SECONDS = 2.0
BARS = "▁▂▃▄▅▆▇█"
# Lags below this are drawn low whatever the others are, so that a quiet link looks quiet.
LAG_FULL_SECONDS = 0.05

BOLD, DIM, RED, GREEN, CYAN, PLAIN = (f"\x1b[{code}m" for code in (1, 2, 31, 32, 36, 0))
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
NO_WRAP, WRAP = "\x1b[?7l", "\x1b[?7h"
CLEAR_LINE, CLEAR_BELOW = "\x1b[K", "\x1b[J"

COLUMNS = (
    ("link", 8),
    ("state", -11),
    ("lag ms", 7),
    ("tx/s", 6),
    ("rows/s", 7),
    ("tx", 8),
    ("rows", 9),
    ("suppressed", 11),
    ("conflicts", 10),
)
"""Headings and widths; those of text, which is set to the left, are below zero."""


class Screen:
    """Shows a phase of the demo and its figures."""

    def __init__(self, servers: Mapping[str, MariaDB], out: TextIO = sys.stdout) -> None:
        self._servers = servers
        self._out = out
        self._is_live = out.isatty()
        self._lines_drawn = 0
        self.wait_seconds = REDRAW_SECONDS if self._is_live else LINE_SECONDS

    def show(self, phase: str, figures: Figures) -> None:
        """Draw over what was drawn before, or print one more line."""
        if not self._is_live:
            print(_plain_line(phase, figures), file=self._out, flush=True)
            return
        lines = list(self._lines(phase, figures))
        up = f"\x1b[{self._lines_drawn}F" if self._lines_drawn else ""
        body = "".join(f"{line}{CLEAR_LINE}\n" for line in lines)
        self._lines_drawn = len(lines)
        self._write(HIDE_CURSOR, NO_WRAP, up, body, CLEAR_BELOW, WRAP)

    def close(self) -> None:
        """Leave the terminal as it was; what was drawn stays."""
        if self._is_live:
            self._write(SHOW_CURSOR, WRAP)

    def _write(self, *texts: str) -> None:
        self._out.write("".join(texts))
        self._out.flush()

    def _lines(self, phase: str, figures: Figures) -> Iterable[str]:
        yield ""
        yield f" {BOLD}cdcd demo{PLAIN}  a shop written at both sites   {CYAN}{phase}{PLAIN}"
        yield ""
        for name, server in self._servers.items():
            written = figures.now.written[name].transactions
            yield (
                f" {BOLD}{name}{PLAIN}  {server.host}:{server.port}   clients commit"
                f" {number(figures.written_a_second(name)):>6} tx/s {DIM}{number(written):>10} so far{PLAIN}"
            )
        yield ""
        yield f" {DIM}{_row([heading for heading, _ in COLUMNS])}{PLAIN}"
        for name in figures.now.links:
            yield f" {_colored(_row(_cells(name, figures)), figures.now.links[name])}"
        yield ""
        for name, lags in figures.lags.items():
            yield f" lag of {name}  {CYAN}{_sparkline(lags)}{PLAIN}"
        yield (
            f" {DIM}longest lag seen {figures.lag_worst * 1000:.0f} ms   "
            f"cdcd uses {figures.cpu_share:.0%} of one processor{PLAIN}"
        )
        yield from _errors(figures)


def _cells(name: str, figures: Figures) -> Sequence[str]:
    link = figures.now.links[name]
    lag = link["lag_seconds"]
    return (
        name,
        link["state"],
        "unknown" if lag is None else f"{lag * 1000:.0f}",
        *(number(figures.applied_a_second(name, key)) for key in ("transactions", "rows")),
        *(number(link[key]) for key in ("transactions", "rows", "suppressed", "conflicts")),
    )


def _row(cells: Sequence[str]) -> str:
    return "".join(
        f" {cell:<{-width}}" if width < 0 else f"{cell:<{width}}" if not place else f"{cell:>{width}}"
        for place, (cell, (_, width)) in enumerate(zip(cells, COLUMNS, strict=True))
    )


def _colored(row: str, link: Mapping[str, object]) -> str:
    state = str(link["state"])
    return row.replace(state, f"{GREEN if state == 'streaming' else RED}{state}{PLAIN}", 1)


def _sparkline(values: Iterable[float]) -> str:
    values = list(values)
    full = max(LAG_FULL_SECONDS, *values)
    return "".join(BARS[round(value / full * (len(BARS) - 1))] for value in values)


def _errors(figures: Figures) -> Iterable[str]:
    return (f" {RED}{name}: {link['error']}{PLAIN}" for name, link in figures.now.links.items() if link["error"])


def _plain_line(phase: str, figures: Figures) -> str:
    links = []
    for name in figures.now.links:
        _, *values = _cells(name, figures)
        facts = ", ".join(f"{heading} {value}" for (heading, _), value in zip(COLUMNS[2:], values[1:], strict=True))
        links.append(f"{name} {values[0]}: {facts}")
    return f"{phase} | " + " | ".join([*links, *_errors(figures)])


def number(value: float) -> str:
    """Write a whole number in groups of three digits."""
    return f"{value:,.0f}".replace(",", " ")
