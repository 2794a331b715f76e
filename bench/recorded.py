"""Recording a backlog: a source whose log holds it, and as many fresh copies of the data before it as are needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count

from bench.workload import Sysbench, Workload, Written
from tests.fixtures.mariadb import MariaDB

QUICK = Sysbench(tables=4, rows=5_000, transactions=5_000, threads=8)
OPTIONS = {"innodb-buffer-pool-size": "512M", "innodb-log-file-size": "256M", "max-connections": "300"}

LAST = "last_row"
"""The table that a backlog's last transaction writes: who sees a row there is at the end, or close to it."""

_server_ids = count(1000)


class EndedDifferent(AssertionError):
    """A replica does not hold the source's rows after it caught up."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A running ``source`` whose log holds, from ``start`` to ``end`` (GTID positions), what was ``written``.

    After it, the log holds one transaction more: the row in LAST.
    """

    source: MariaDB
    before: MariaDB  # stopped, with the data as it was before the backlog
    database: str
    start: str
    end: str
    checksums: dict[str, int]
    written: Written

    @contextmanager
    def replica(self) -> Iterator[MariaDB]:
        """Yield a server with the data as it was before; raise EndedDifferent unless it ends with the source's rows."""
        with copy(self.before) as server:
            yield server
            check_rows(server, self.database, self.checksums)


@contextmanager
def recorded(workload: Workload) -> Iterator[Recorded]:
    """Record a backlog; remove everything afterwards."""
    with MariaDB(OPTIONS) as source:
        prepare(source, workload)
        start = source.binlog_position()[2]
        source.stop()
        with closing(copy(source)) as before:
            source.start()
            written = write(source, workload)
            end, expected = source.binlog_position()[2], checksums(source, workload.database)
            yield Recorded(source, before, workload.database, start, end, expected, written)


def prepare(source: MariaDB, workload: Workload) -> None:
    """Create and fill the tables.

    They get the statistics that tables have that were not filled a moment ago: otherwise it would be chance
    whether the server has counted their rows when it chooses how to find some of them.
    """
    with _in_haste(source):
        source.sql(f"CREATE DATABASE {workload.database}")
        workload.fill(source)
        source.sql(f"CREATE TABLE {workload.database}.{LAST} (id INT PRIMARY KEY)")
        source.sql(f"ANALYZE TABLE {', '.join(_tables(source, workload.database))}; FLUSH BINARY LOGS")


def write(source: MariaDB, workload: Workload) -> Written:
    """Write the backlog and, after it, its last row, which is not counted."""
    with _in_haste(source):
        written = workload.write(source)
        source.sql(f"INSERT INTO {workload.database}.{LAST} VALUES (1)")
    return written


@contextmanager
def _in_haste(server: MariaDB) -> Iterator[None]:
    """Let a server, which is durable at other times, not be so: what it does meanwhile is not measured."""
    server.sql("SET GLOBAL sync_binlog = 0, innodb_flush_log_at_trx_commit = 2")
    yield
    server.sql("SET GLOBAL sync_binlog = 1, innodb_flush_log_at_trx_commit = 1")


def copy(server: MariaDB, *, with_log: bool = False) -> MariaDB:
    """Return a stopped server with the data of a stopped one: with its log and its server id, or with neither."""
    own = {} if with_log else {"server-id": str(next(_server_ids))}
    twin = MariaDB({**server.options, **own})
    shutil.rmtree(twin.data)
    shutil.copytree(server.data, twin.data, ignore=None if with_log else shutil.ignore_patterns("binlog.*"))
    os.sync()  # Or the disk would still write the copy while its catch-up is timed.
    return twin


def checksums(server: MariaDB, database: str) -> dict[str, int]:
    """Return a checksum of every table's rows."""
    return dict(server.sql(f"CHECKSUM TABLE {', '.join(_tables(server, database))} EXTENDED"))


def check_rows(replica: MariaDB, database: str, expected: dict[str, int]) -> None:
    """Raise EndedDifferent, naming the tables, unless the database's rows have these checksums."""
    if expected != (found := checksums(replica, database)):
        different = [table for table in {**expected, **found} if expected.get(table) != found.get(table)]
        raise EndedDifferent(f"the replica has other rows in {', '.join(different)}")


def _tables(server: MariaDB, database: str) -> list[str]:
    return [f"{database}.{name}" for (name,) in server.sql(f"SHOW TABLES FROM {database}")]
