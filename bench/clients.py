"""Backlogs that our own clients write: each a process with a connection, whose statements follow from a seed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from random import Random
from typing import Any

import pymysql
from pymysql.constants.CLIENT import MULTI_STATEMENTS
from pymysql.constants.ER import LOCK_DEADLOCK

from bench.workload import Written
from tests.fixtures.mariadb import MariaDB

Transaction = list[str]
"""The statements of one transaction, without BEGIN and COMMIT."""

Client = Callable[[Random, int], Iterator[Transaction]]
"""Given its source of randomness and its number, yields transactions without end."""


Connector = Callable[[], "pymysql.Connection[Any]"]


@dataclass(frozen=True, slots=True)
class Clients:
    """``transactions`` of what ``client`` yields, dealt evenly to ``clients`` connections.

    ``rows`` yields the statements that create and fill the tables. The clients run at the same time, so
    their transactions mix; two that get in each other's way are both written in the end.
    """

    rows: Callable[[], Iterable[str]]
    client: Client
    transactions: int
    clients: int = 8
    database: str = "bench"

    def a_tenth(self) -> Clients:
        """Return the same with about a tenth of the transactions, at least one a client."""
        return replace(self, transactions=max(self.transactions // 10, self.clients))

    def fill(self, source: MariaDB) -> None:
        """Create and fill the tables."""
        with closing(self._connector(source)()) as connection, connection.cursor() as cursor:
            for statement in self.rows():
                cursor.execute(statement)

    def write(self, source: MariaDB) -> Written:
        """Write the transactions; those that found no row to change are not counted, nor in the log."""
        tasks = [(self._connector(source), number) for number in range(self.clients)]
        with multiprocessing.get_context("fork").Pool(self.clients) as pool:
            written = pool.starmap(self._write, tasks, chunksize=1)
        return Written(sum(one.transactions for one in written), sum(one.changes for one in written))

    def _write(self, connect: Connector, number: int) -> Written:
        count = self.transactions // self.clients + (number < self.transactions % self.clients)
        with closing(connect()) as connection:
            changes = [_commit(connection, one) for one in islice(self.client(Random(number), number), count)]
        return Written(sum(map(bool, changes)), sum(changes))

    def _connector(self, source: MariaDB) -> Connector:
        return partial(
            pymysql.connect,
            host=source.host,
            port=source.port,
            user=source.user,
            password=source.password,
            database=self.database,
            charset="utf8mb4",
            autocommit=True,
            client_flag=MULTI_STATEMENTS,
            # Under the default isolation, clients lock the gaps between rows, and wait for each other more.
            init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        )


def values(rows: Iterable[str], table: str, rows_each: int = 1000) -> Iterator[str]:
    """Return the INSERT statements for rows that are given as ``(1,'text')``."""
    remaining = iter(rows)
    while part := list(islice(remaining, rows_each)):
        yield f"INSERT INTO {table} VALUES {','.join(part)}"


def _commit(connection: pymysql.Connection[Any], transaction: Transaction) -> int:
    """Write one transaction, again when it lost to another; return how many rows changed."""
    text = transaction[0] if len(transaction) == 1 else f"BEGIN;{';'.join(transaction)};COMMIT"
    while True:
        try:
            with connection.cursor() as cursor:
                changes: int = cursor.execute(text)
                while cursor.nextset():
                    changes += cursor.rowcount
                return changes
        except pymysql.OperationalError as error:
            if error.args[0] != LOCK_DEADLOCK:
                raise
            connection.rollback()
