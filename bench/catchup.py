"""Catching up: one recorded backlog, applied by MariaDB's own replication and by cdcd, in one run.

Each contender begins with a fresh copy of the data as it was before the backlog, and must end with the
source's rows. A scenario in bench/scenarios is a ``Workload`` and nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import count
from typing import Any

from bench.contenders import LAST, Backlog, Result, make_durable, run_cdcd, run_native
from bench.workload import DURABLE, Workload, Written, checksums, copy, prepare
from tests.fixtures.mariadb import MariaDB

Contender = Callable[[Backlog, MariaDB], Result]
Describe = Callable[[dict[str, Any]], list[str]]

CONTENDERS: dict[str, Contender] = {
    "native_serial": lambda *run: run_native(*run, threads=0),
    "native_8_threads": lambda *run: run_native(*run, threads=8),
    "cdcd_1_writer": lambda *run: run_cdcd(*run, writers=1),
    "cdcd_4_writers": lambda *run: run_cdcd(*run, writers=4),
}
NATIVES = ("native_serial", "native_8_threads")

_server_ids = count(1000)


class EndedDifferent(AssertionError):
    """A replica does not hold the source's rows after it caught up."""


def run(workload: Workload) -> dict[str, Any]:
    """Let every contender catch up, one after the other; raise EndedDifferent when a replica ends different."""
    with recorded(workload) as (backlog, before, written):
        expected = checksums(backlog.source, backlog.database)
        results = {name: _catch_up(contender, backlog, before, expected) for name, contender in CONTENDERS.items()}
    natives = {name: results[name].seconds for name in NATIVES}
    figures = {name: _figures(result, written, natives) for name, result in results.items()}
    return {**asdict(written), "contenders": figures}


@contextmanager
def recorded(workload: Workload) -> Iterator[tuple[Backlog, MariaDB, Written]]:
    """Yield a backlog, a stopped server with the data as it was before, and how much the backlog holds."""
    with MariaDB(DURABLE) as source:
        prepare(source, workload)
        source.sql(f"CREATE TABLE {workload.database}.{LAST} (id INT PRIMARY KEY)")
        start = source.binlog_position()[2]
        source.stop()
        with closing(copy(source, server_id=next(_server_ids))) as before:
            source.start()
            source.sql("SET GLOBAL sync_binlog = 0, innodb_flush_log_at_trx_commit = 2")
            written = workload.write(source)
            source.sql(f"INSERT INTO {workload.database}.{LAST} VALUES (1)")
            make_durable(source)
            yield Backlog(source, workload.database, start, source.binlog_position()[2]), before, written


def _catch_up(contender: Contender, backlog: Backlog, before: MariaDB, expected: dict[str, int]) -> Result:
    with copy(before, server_id=next(_server_ids)) as replica:
        make_durable(replica)
        result = contender(backlog, replica)
        found = checksums(replica, backlog.database)
    if found != expected:
        different = [table for table in expected if found.get(table) != expected[table]]
        raise EndedDifferent(f"{result.name}: other rows in {', '.join(different)}")
    return result


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


def benchmark(workload: Workload) -> tuple[Callable[[bool], dict[str, Any]], Describe, Callable[[], None]]:
    """Return what makes a module with this workload a benchmark: ``run``, ``describe`` and ``main``."""

    def run_workload(quick: bool) -> dict[str, Any]:
        return run(workload.a_tenth() if quick else workload)

    def main() -> None:
        parser = argparse.ArgumentParser(description="Let every contender catch up with this scenario's backlog.")
        parser.add_argument("--quick", action="store_true", help="a tenth of the transactions")
        print("\n".join(describe(run_workload(parser.parse_args().quick))))

    return run_workload, describe, main
