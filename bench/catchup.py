"""Catching up: one recorded backlog, applied by MariaDB's own replication and by cdcd, in one run.

Each contender begins with a fresh copy of the data as it was before the backlog, and must end with the
source's rows. A scenario in bench/scenarios is a ``Workload`` and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.contenders import replicating, running, wait_until_applied
from bench.recorded import Recorded, recorded
from bench.workload import Workload, Written
from tests.fixtures.mariadb import MariaDB

Describe = Callable[[dict[str, Any]], list[str]]


@dataclass(frozen=True, slots=True)
class Result:
    """One catch-up. CPU and memory are the daemon's own; the servers' are not counted.

    ``seconds`` counts the start of cdcd's process; ``seconds_from_connect`` begins when it reads the log.
    """

    name: str
    seconds: float
    seconds_from_connect: float | None = None
    cpu_seconds: float | None = None
    rss_mib: float | None = None


def native(log: Recorded, replica: MariaDB, *, threads: int) -> Result:
    """Catch up with MariaDB's own replication; ``threads`` 0 is serial."""
    with replicating(log.source, replica, log.start, threads) as contender:
        seconds = wait_until_applied(contender, replica, log.database, log.end)
    return Result(f"native, {threads} threads" if threads else "native, serial", seconds)


def cdcd(log: Recorded, replica: MariaDB, *, writers: int, checkout: Path | None = None) -> Result:
    """Catch up with one cdcd link, default settings but for ``writers``; with another checkout's if told."""
    link = {"source": "east", "target": "west", "tables": [f"{log.database}.*"], "start": log.start}
    sites = {"east": log.source, "west": replica}
    with running(sites, {"forward": {**link, "writers": writers}}, checkout) as daemon:
        seconds = wait_until_applied(daemon, replica, log.database, log.end)
        from_connect, rss_mib = time.time() - daemon.connected_at, daemon.rss_mib
    name = f"cdcd, {writers} writer" + ("s" if writers > 1 else "")
    return Result(name, seconds, from_connect, daemon.cpu_seconds_in_all, rss_mib)


CONTENDERS: dict[str, Callable[[Recorded, MariaDB], Result]] = {
    "native_serial": partial(native, threads=0),
    "native_8_threads": partial(native, threads=8),
    "cdcd_1_writer": partial(cdcd, writers=1),
    "cdcd_4_writers": partial(cdcd, writers=4),
}
NATIVES = ("native_serial", "native_8_threads")


def run(workload: Workload) -> dict[str, Any]:
    """Let every contender catch up, one after the other; raise EndedDifferent when a replica ends different."""
    results = {}
    with recorded(workload) as log:
        for name, contender in CONTENDERS.items():
            with log.replica() as replica:
                results[name] = contender(log, replica)
    natives = {name: results[name].seconds for name in NATIVES}
    figures = {name: _figures(result, log.written, natives) for name, result in results.items()}
    return {**asdict(log.written), "contenders": figures}


def _figures(result: Result, written: Written, natives: dict[str, float]) -> dict[str, Any]:
    figures = {
        **asdict(result),
        "transactions_per_second": written.transactions / result.seconds,
        "changes_per_second": written.changes / result.seconds,
        **{f"times_{name}": seconds / result.seconds for name, seconds in natives.items()},
    }
    if result.cpu_seconds is not None:
        figures["cpu_seconds_per_100k_changes"] = result.cpu_seconds / written.changes * 100_000
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


def describe(result: dict[str, Any]) -> list[str]:
    """Return a line about the backlog, and one for each contender."""
    head = f"{result['transactions']:,} transactions, {result['changes']:,} changes; all ended with the source's rows"
    return [head, *(_line(figures) for figures in result["contenders"].values())]


def _line(figures: dict[str, Any]) -> str:
    line = (
        f"{figures['name']:17} {figures['seconds']:7.2f} s {figures['transactions_per_second']:9,.0f} transactions/s"
        f" {figures['changes_per_second']:9,.0f} changes/s {figures['times_native_serial']:6.2f}x serial"
        f" {figures['times_native_8_threads']:6.2f}x 8 threads"
    )
    if figures["cpu_seconds"] is not None:
        line += (
            f"  {figures['seconds_from_connect']:.2f} s from connecting, {figures['cpu_seconds']:.2f} s CPU"
            f" ({figures['cpu_seconds_per_100k_changes']:.2f} s per 100,000 changes), {figures['rss_mib']:.0f} MiB"
        )
    return line


def benchmark(workload: Workload) -> tuple[Callable[[bool], dict[str, Any]], Describe]:
    """Return what makes a module with this workload a benchmark: ``run`` and ``describe``."""
    return lambda quick: run(workload.a_tenth() if quick else workload), describe
