"""Sites far apart: what a round trip of 0, 10, 30 and 100 ms between them costs.

The delay is made by a proxy (``bench.delay``) that every contender's connection to the far site passes, also at 0 ms:

- native: the replica pulls the log over the distance and applies it where it is;
- cdcd, near the target: the same, its connections to the source pass the proxy;
- cdcd, near the source: its connections to the target pass the proxy, so every batch pays round trips.

Measured for each: the latency of quiet traffic (the probe of ``bench.probe``), and the catch-up of a small sysbench
oltp_write_only backlog, timed from where cdcd says that it streams, or from START SLAVE. The figure to watch is the
round trips of a batch: the apply stage's seconds beyond those at 0 ms, divided by the number of batches and by the
round trip. What the catch-up took longer besides, in round trips, is paid once: for the questions about each table,
mostly. A quiet commit near the source also waits for the end of the batch before it, which is on its way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from bench.contenders import Cdcd, Native, replicating, running, wait_until_applied
from bench.delay import far_away
from bench.latency import fresh_pair
from bench.probe import TABLES, Probe
from bench.recorded import QUICK, Recorded, recorded
from bench.workload import Sysbench
from tests.fixtures.mariadb import MariaDB

ROUND_TRIPS_MS = (0, 10, 30, 100)
SIZE = Sysbench(tables=4, rows=20_000, transactions=10_000)
QUIET_RATE = 50
NATIVE, NEAR_TARGET, NEAR_SOURCE = "native", "cdcd near the target", "cdcd near the source"

Following = AbstractContextManager[Cdcd | Native]


@contextmanager
def native(source: MariaDB, target: MariaDB, milliseconds: float, start: str, _tables: str) -> Iterator[Native]:
    """MariaDB's own replication, over the distance."""
    with far_away(source.port, milliseconds) as far, replicating(far, target, start) as replica:
        yield replica


def cdcd(distant: str) -> Callable[..., Following]:
    """A link whose connections to one site (``east`` is the source, ``west`` the target) pass the proxy."""

    @contextmanager
    def following(source: MariaDB, target: MariaDB, milliseconds: float, start: str, tables: str) -> Iterator[Cdcd]:
        sites: dict[str, Any] = {"east": source, "west": target}
        link = {"source": "east", "target": "west", "tables": [tables], "start": start or "earliest"}
        with far_away(sites[distant].port, milliseconds) as far:
            with running({**sites, distant: far}, {"forward": link}) as daemon:
                daemon.wait_until_streaming()
                yield daemon

    return following


CONTENDERS: dict[str, Callable[..., Following]] = {
    NATIVE: native,
    NEAR_TARGET: cdcd("east"),
    NEAR_SOURCE: cdcd("west"),
}


def quiet(follow: Callable[..., Following], milliseconds: float, seconds: float) -> dict[str, float]:
    """Measure the latency of quiet traffic."""
    with fresh_pair() as (source, target), follow(source, target, milliseconds, "", TABLES):
        probe = Probe(source.port, target.port)
        probe.measure(QUIET_RATE, 0.5)
        return probe.measure(QUIET_RATE, seconds)


def catch_up(follow: Callable[..., Following], milliseconds: float, log: Recorded) -> dict[str, Any]:
    """Measure the catch-up of the recorded backlog; fail when the target ends different."""
    with log.replica() as target:
        with follow(log.source, target, milliseconds, log.start, f"{log.database}.*") as contender:
            began = time.perf_counter()
            wait_until_applied(contender, target, log.database, log.end)
            seconds = time.perf_counter() - began
            stages = contender.status["forward"]["stages"] if isinstance(contender, Cdcd) else None
    figures: dict[str, Any] = {"seconds": seconds, "transactions_per_s": log.written.transactions / seconds}
    if stages is not None:
        figures["stages"] = stages
        figures["batches"] = stages["batch"]["batches"]
        figures["statements"] = stages["apply"]["statements"]
    return figures


def _add_round_trips(cells: dict[str, Any]) -> None:
    """Say how many round trips the seconds beyond those at 0 ms come to; for each batch, and for a quiet commit."""
    near = cells["0"]
    for milliseconds, cell in cells.items():
        if (trip := float(milliseconds)) == 0:
            continue
        cell["round_trips_to_visible"] = (cell["quiet"]["p50_ms"] - near["quiet"]["p50_ms"]) / trip
        if "batches" in cell["catch_up"]:
            cell["catch_up"] |= _round_trips(near["catch_up"], cell["catch_up"], trip / 1000)


def _round_trips(here: dict[str, Any], there: dict[str, Any], trip_seconds: float) -> dict[str, float]:
    applying, there_applying = (each["stages"]["apply"]["seconds_busy"] for each in (here, there))
    extra, extra_applying = there["seconds"] - here["seconds"], there_applying - applying
    return {
        "round_trips_per_batch": extra_applying / there["batches"] / trip_seconds,
        "round_trips_besides": (extra - extra_applying) / trip_seconds,
    }


def run(quick: bool) -> dict[str, Any]:
    """Measure every contender at every distance."""
    trips = (0, 30) if quick else ROUND_TRIPS_MS
    seconds = 1 if quick else 10
    result: dict[str, Any] = {name: {} for name in CONTENDERS}
    with recorded(QUICK if quick else SIZE) as log:
        for name, follow in CONTENDERS.items():
            for milliseconds in trips:
                result[name][str(milliseconds)] = {
                    "quiet": quiet(follow, milliseconds, seconds),
                    "catch_up": catch_up(follow, milliseconds, log),
                }
            _add_round_trips(result[name])
    return result


def describe(result: dict[str, Any]) -> list[str]:
    """One line for each contender and distance."""
    lines = []
    for name, cells in result.items():
        for milliseconds, cell in cells.items():
            there = cell["catch_up"]
            line = (
                f"{name:21} {milliseconds:>4} ms  quiet p50 {cell['quiet']['p50_ms']:7.1f} ms"
                f" p99 {cell['quiet']['p99_ms']:7.1f} ms  catch-up {there['seconds']:6.2f} s"
                f" {there['transactions_per_s']:8,.0f} transactions/s"
            )
            if "batches" in there:
                line += f"  {there['batches']:.0f} batches, {there['statements']:.0f} statements"
            if "round_trips_to_visible" in cell:
                line += f"  round trips: {cell['round_trips_to_visible']:.1f} until visible"
            if "round_trips_per_batch" in there:
                line += f", {there['round_trips_per_batch']:.1f} a batch, {there['round_trips_besides']:.0f} once"
            lines.append(line)
    return lines
