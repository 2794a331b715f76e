"""What a backlog is made of: tables with rows in them, and transactions written by clients, many at once."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from typing import Protocol, Self

from tests.fixtures.mariadb import MariaDB

DATABASE = "sbtest"
"""Where sysbench's tables are."""


@dataclass(frozen=True, slots=True)
class Written:
    """How much was written: transactions, and rows changed in them."""

    transactions: int
    changes: int


class Workload(Protocol):
    """What a scenario says of its backlog. See ``Sysbench`` here and ``Clients`` in bench/clients.py."""

    @property
    def database(self) -> str:
        """The database that holds all its tables."""

    def a_tenth(self) -> Self:
        """Return the same with about a tenth of the transactions."""

    def fill(self, source: MariaDB) -> None:
        """Create the tables, and the rows that are there before the backlog."""

    def write(self, source: MariaDB) -> Written:
        """Write the backlog's transactions."""


@dataclass(frozen=True, slots=True)
class Sysbench:
    """A script of sysbench: ``transactions`` of ``changes_each`` rows, by ``threads`` clients.

    oltp_write_only makes two updates, one delete and one insert a transaction.
    """

    tables: int = 4
    rows: int = 50_000
    transactions: int = 60_000
    threads: int = 16
    script: str = "oltp_write_only"
    changes_each: int = 4
    database: str = DATABASE

    @property
    def changes(self) -> int:
        """Row changes in the log."""
        return self.changes_each * self.transactions

    def a_tenth(self) -> Sysbench:
        """Return the same with a tenth of the transactions."""
        return replace(self, transactions=self.transactions // 10)

    def fill(self, source: MariaDB) -> None:
        """Create and fill the tables."""
        self._run(source, "prepare")

    def write(self, source: MariaDB) -> Written:
        """Write the transactions."""
        self._run(source, "run", f"--events={self.transactions}", "--time=0", f"--threads={self.threads}")
        return Written(self.transactions, self.changes)

    def _run(self, server: MariaDB, action: str, *arguments: str) -> None:
        command = [
            "sysbench",
            self.script,
            "--db-driver=mysql",
            f"--mysql-host={server.host}",
            f"--mysql-port={server.port}",
            f"--mysql-user={server.user}",
            f"--mysql-password={server.password}",
            f"--mysql-db={self.database}",
            f"--tables={self.tables}",
            f"--table-size={self.rows}",
            *arguments,
            action,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
