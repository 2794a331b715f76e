"""The latency probe: how long after its COMMIT returned on one server does a row become visible on another?

A process of its own writes single-row transactions by a schedule that does not wait for anything (open loop): each row
has its time, and is sent at that time, or at once when its connection is late. Another process asks the target every
half millisecond for the rows that it has not seen. Both read CLOCK_MONOTONIC. So a latency is up to half a millisecond
too long, for every contender alike. A row may be visible before its COMMIT has returned: such latencies are below zero,
and stay so.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pymysql

from tests.fixtures.mariadb import HOST, PASSWORD, USER

TABLES = "probe.*"
SCHEMA = "CREATE DATABASE probe; CREATE TABLE probe.ticks (id BIGINT PRIMARY KEY, filler CHAR(60) NOT NULL)"
FILLER = "x" * 60
CONNECTIONS = 8
POLL_SECONDS = 0.0005
LEAD_SECONDS = 1.0  # both processes are connected and waiting by then
SILENCE_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Pace:
    """Rows ``first`` to ``first + count - 1``, ``rate`` a second from ``begin`` (time.monotonic) on."""

    first: int
    count: int
    rate: float
    begin: float

    def due(self, index: int) -> float:
        """Return when a row is to be sent."""
        return self.begin + index / self.rate


@dataclass(slots=True)
class Writing:
    """What the writing process reports: when each COMMIT returned, how late the latest row was sent, its CPU."""

    committed: list[float]
    late_seconds_max: float
    cpu_seconds: float


def _connect(port: int) -> Any:
    return closing(pymysql.connect(host=HOST, port=port, user=USER, password=PASSWORD, autocommit=True))


def _sleep_until(moment: float) -> float:
    """Sleep, and return how late it is then."""
    seconds = moment - time.monotonic()
    if seconds > 0:
        time.sleep(seconds)
    return time.monotonic() - moment


def write(port: int, pace: Pace) -> Writing:
    """Write the rows on several connections, each row on the one whose turn it is."""
    committed, late = [0.0] * pace.count, [0.0] * CONNECTIONS

    def lane(number: int) -> None:
        with _connect(port) as connection, connection.cursor() as cursor:
            for index in range(number, pace.count, CONNECTIONS):
                late[number] = max(late[number], _sleep_until(pace.due(index)))
                cursor.execute(f"INSERT INTO probe.ticks VALUES ({pace.first + index}, '{FILLER}')")
                committed[index] = time.monotonic()

    lanes = [threading.Thread(target=lane, args=(number,)) for number in range(CONNECTIONS)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    if not all(committed):
        raise RuntimeError("the probe could not write every row")
    return Writing(committed, max(late), time.process_time())


def watch(port: int, pace: Pace) -> tuple[list[float], float]:
    """Return when each row was first seen, and what seeing it cost in CPU seconds."""
    seen = [0.0] * pace.count
    missing = 0  # the first row that has not been seen: rows may become visible out of order
    due = heard = pace.begin
    with _connect(port) as connection, connection.cursor() as cursor:
        while missing < pace.count:
            due = max(due + POLL_SECONDS, time.monotonic())
            _sleep_until(due)
            cursor.execute(f"SELECT id FROM probe.ticks WHERE id >= {pace.first + missing}")
            now = time.monotonic()
            for (row,) in cursor.fetchall():
                if not seen[row - pace.first]:
                    seen[row - pace.first] = heard = now
            while missing < pace.count and seen[missing]:
                missing += 1
            if now - heard > SILENCE_SECONDS_MAX:
                raise RuntimeError(f"row {pace.first + missing} does not arrive")
    return seen, time.process_time()


class Probe:
    """Measures between two servers that hold ``SCHEMA``; row ids go on from one measurement to the next."""

    def __init__(self, source_port: int, target_port: int, first: int = 1) -> None:
        self._ports = source_port, target_port
        self.next = first

    def measure(self, rate: float, seconds: float) -> dict[str, float]:
        """Write at a rate for a while; return the latencies in milliseconds, and the probe's own figures."""
        count = max(1, round(rate * seconds))
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            for ready in [pool.submit(time.monotonic), pool.submit(time.monotonic)]:
                ready.result()  # The processes exist before the schedule begins.
            pace = Pace(self.next, count, rate, time.monotonic() + LEAD_SECONDS)
            self.next += count
            watching = pool.submit(watch, self._ports[1], pace)
            writing = pool.submit(write, self._ports[0], pace).result()
            seen, watcher_cpu_seconds = watching.result()
        latencies = sorted((there - here) * 1000 for here, there in zip(writing.committed, seen, strict=True))
        return {
            "rate": rate,
            "count": count,
            **{f"p{percent}_ms": _percentile(latencies, percent) for percent in (50, 95, 99)},
            "max_ms": latencies[-1],
            "late_ms_max": writing.late_seconds_max * 1000,
            "achieved_rate": (count - 1) / (max(writing.committed) - pace.begin) if count > 1 else rate,
            "probe_cpu_seconds": writing.cpu_seconds + watcher_cpu_seconds,
        }


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
