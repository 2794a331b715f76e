"""Catch up on one backlog with MariaDB's own replication and with cdcd, in one run, and print the ratios.

Run from the project's root, in the environment that ``conf/install test`` makes, with sysbench installed:

    python -m bench.catchup [--transactions N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from bench.contenders import Result, make_durable, run_cdcd, run_native
from bench.workload import DURABLE, Size, checksums, copy, prepare, record
from tests.fixtures.mariadb import MariaDB

Contender = Callable[[MariaDB, MariaDB, str, str], Result]

CONTENDERS: tuple[Contender, ...] = (
    lambda *run: run_native(*run, threads=0),
    lambda *run: run_native(*run, threads=8),
    lambda *run: run_cdcd(*run, writers=1),
    lambda *run: run_cdcd(*run, writers=4),
)


@contextmanager
def backlog(size: Size) -> Iterator[tuple[MariaDB, list[MariaDB], str, str]]:
    """Yield a source with a recorded backlog, a replica for each contender, and where the backlog begins and ends."""
    with ExitStack() as stack:
        source = stack.enter_context(MariaDB(DURABLE))
        start = prepare(source, size)
        source.stop()
        replicas = [copy(source, server_id=1000 + number) for number in range(len(CONTENDERS))]
        for replica in replicas:
            stack.callback(replica.close)
        source.start()
        source.sql("SET GLOBAL sync_binlog = 0, innodb_flush_log_at_trx_commit = 2")
        end = record(source, size)
        make_durable(source)
        yield source, replicas, start, end


def compare(size: Size) -> list[Result]:
    """Let every contender catch up, one after the other; raise AssertionError when any replica ends different."""
    results = []
    with backlog(size) as (source, replicas, start, end):
        expected = checksums(source, size)
        for contender, replica in zip(CONTENDERS, replicas, strict=True):
            replica.start()
            make_durable(replica)
            result = contender(source, replica, start, end)
            assert expected == checksums(replica, size), f"{result.name} ended different"
            replica.stop()
            results.append(result)
            print(describe(result, results, size), flush=True)
    return results


def describe(result: Result, results: list[Result], size: Size) -> str:
    """One line: seconds, rates, and how many times faster than each native run."""
    line = f"{result.name:20} {result.seconds:7.2f} s {size.transactions / result.seconds:9,.0f} transactions/s"
    for native in results:
        if native.name.startswith("native") and native is not result:
            line += f"  {native.seconds / result.seconds:5.2f}x {native.name}"
    if result.cpu_seconds is not None:
        per = result.cpu_seconds / size.changes * 100_000
        line += f"  daemon: {result.cpu_seconds:.2f} s CPU ({per:.2f} s per 100,000 changes), {result.rss_mib:.0f} MiB"
    return line


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=Size().transactions)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = compare(Size(transactions=arguments.transactions))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
