"""The workload of the catch-up benchmark: sysbench's oltp_write_only, recorded in a source's binary log."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from tests.fixtures.mariadb import MariaDB

DATABASE = "sbtest"
DURABLE = {"innodb-buffer-pool-size": "512M", "innodb-log-file-size": "256M", "max-connections": "300"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is written: ``transactions`` of two updates, one delete and one insert each."""

    tables: int = 4
    rows: int = 50_000
    transactions: int = 60_000
    threads: int = 16

    @property
    def changes(self) -> int:
        """Row changes in the log."""
        return 4 * self.transactions


def prepare(source: MariaDB, size: Size) -> str:
    """Create and fill the tables; return the position after them."""
    source.sql(f"CREATE DATABASE {DATABASE}; SET GLOBAL sync_binlog = 0, innodb_flush_log_at_trx_commit = 2")
    _sysbench(source, size, "prepare")
    source.sql("FLUSH BINARY LOGS")
    return source.binlog_position()[2]


def record(source: MariaDB, size: Size) -> str:
    """Write the transactions; return the position after them. The log, not its writing, is measured later."""
    _sysbench(source, size, "run", f"--events={size.transactions}", "--time=0", f"--threads={size.threads}")
    return source.binlog_position()[2]


def copy(source: MariaDB, *, server_id: int) -> MariaDB:
    """Return a stopped server with the same data and no log of its own; ``source`` must be stopped."""
    twin = MariaDB({**source.options, "server-id": str(server_id)})
    shutil.rmtree(twin.data)
    shutil.copytree(source.data, twin.data, ignore=shutil.ignore_patterns("binlog.*"))
    return twin


def checksums(server: MariaDB, size: Size) -> tuple[int, ...]:
    """Return a checksum of every table's rows."""
    names = ", ".join(f"{DATABASE}.sbtest{number + 1}" for number in range(size.tables))
    return tuple(row[1] for row in server.sql(f"CHECKSUM TABLE {names} EXTENDED"))


def _sysbench(server: MariaDB, size: Size, action: str, *arguments: str) -> None:
    command = [
        "sysbench",
        "oltp_write_only",
        "--db-driver=mysql",
        f"--mysql-host={server.host}",
        f"--mysql-port={server.port}",
        f"--mysql-user={server.user}",
        f"--mysql-password={server.password}",
        f"--mysql-db={DATABASE}",
        f"--tables={size.tables}",
        f"--table-size={size.rows}",
        *arguments,
        action,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
