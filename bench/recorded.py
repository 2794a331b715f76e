"""A source with a recorded backlog, and as many fresh copies of the data before it as a benchmark needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from bench.workload import DURABLE, Sysbench, copy, prepare
from tests.fixtures.mariadb import MariaDB

QUICK = Sysbench(tables=4, rows=5_000, transactions=5_000, threads=8)
LOGGED = "sync_binlog = 1, innodb_flush_log_at_trx_commit = 1"
UNLOGGED = "sync_binlog = 0, innodb_flush_log_at_trx_commit = 2"

_server_ids = count(2000)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A running, durable ``source`` whose log holds the backlog from ``start`` to ``end`` (GTID positions)."""

    source: MariaDB
    pristine: MariaDB  # stopped, with the data as it was before the backlog
    start: str
    end: str
    size: Sysbench

    @contextmanager
    def fresh_copy(self) -> Iterator[MariaDB]:
        """Yield a running, durable server with the data as it was before the backlog; remove it afterwards."""
        server = copy(self.pristine, server_id=next(_server_ids))
        try:
            yield server.start()
        finally:
            server.close()


@contextmanager
def recorded(size: Sysbench) -> Iterator[Recorded]:
    """Record a sysbench ``oltp_write_only`` backlog; remove everything afterwards."""
    with MariaDB(DURABLE) as source:
        start = prepare(source, size)
        source.stop()
        pristine = copy(source, server_id=next(_server_ids))
        try:
            source.start()
            source.sql(f"SET GLOBAL {UNLOGGED}")
            size.write(source)
            _, _, end = source.binlog_position()
            source.sql(f"SET GLOBAL {LOGGED}")
            yield Recorded(source, pristine, start, end, size)
        finally:
            pristine.close()


def clone(server: MariaDB) -> MariaDB:
    """Return a stopped server with everything that a stopped one has: its data, its log and its server id."""
    twin = MariaDB(server.options)
    shutil.rmtree(twin.data)
    shutil.copytree(server.data, twin.data)
    return twin


def checksums(server: MariaDB, *databases: str) -> dict[str, int]:
    """Return a checksum of the rows of every table of these databases."""
    names = ", ".join(repr(name) for name in databases)
    tables = server.sql(
        f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({names})"
    )
    listed = ", ".join(f"`{database}`.`{table}`" for database, table in tables)
    return dict(server.sql(f"CHECKSUM TABLE {listed} EXTENDED"))
