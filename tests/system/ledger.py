"""Clients whose every transaction leaves a trace that shows whether it was applied never, once or twice."""

from __future__ import annotations

import threading
from contextlib import closing, suppress

import pymysql

from tests.fixtures.mariadb import MariaDB

PAUSE_SECONDS = 0.008
TABLES = """
CREATE TABLE ledger (
  site CHAR(4), client INT, seq INT, body VARCHAR(100), PRIMARY KEY (site, client, seq)
) ENGINE=InnoDB;
CREATE TABLE counter (site CHAR(4), client INT, n INT NOT NULL, PRIMARY KEY (site, client)) ENGINE=InnoDB;
"""


class Clients:
    """Threads that commit to one site until stopped: a ledger row and ``n = n + 1`` in each transaction.

    A ledger row applied twice is a duplicate key; a counter applied twice, or not at all, does not match the ledger.
    ``count`` is the number of commits that the server has confirmed.
    """

    def __init__(self, server: MariaDB, database: str, site: str, clients: int) -> None:
        self._server, self._database, self._site = server, database, site
        self._stop = threading.Event()
        self.count = 0
        self._lock = threading.Lock()
        rows = ",".join(f"('{site}',{client},0)" for client in range(clients))
        server.sql(f"INSERT INTO counter VALUES {rows}", database=database)
        self._threads = [threading.Thread(target=self._run, args=(client,)) for client in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Commit no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client: int) -> None:
        seq = 0
        while not self._stop.is_set():
            # A server that is being killed; what it confirmed last decides where to go on.
            with suppress(pymysql.MySQLError, OSError), closing(self._connect()) as connection:
                cursor = connection.cursor()
                cursor.execute("SELECT n FROM counter WHERE site = %s AND client = %s", (self._site, client))
                [seq] = cursor.fetchone()
                while not self._stop.wait(PAUSE_SECONDS):
                    self._commit(cursor, client, seq := seq + 1)
            self._stop.wait(PAUSE_SECONDS)

    def _connect(self) -> pymysql.Connection:
        return self._server.connect(database=self._database)

    def _commit(self, cursor: pymysql.cursors.Cursor, client: int, seq: int) -> None:
        # No row constructor in the condition: the server would scan, and so lock, the rows of all clients.
        cursor.execute(
            f"BEGIN; INSERT INTO ledger VALUES ('{self._site}',{client},{seq},REPEAT('x',{seq % 100}));"
            f"UPDATE counter SET n = n + 1 WHERE site = '{self._site}' AND client = {client}; COMMIT"
        )
        while cursor.nextset():
            pass
        with self._lock:
            self.count += 1


def rows(server: MariaDB, database: str) -> list[list[tuple[object, ...]]]:
    """Return every row of both tables."""
    return [
        server.sql(f"SELECT * FROM {table} ORDER BY site, client{last}", database=database)
        for table, last in (("ledger", ", seq"), ("counter", ""))
    ]


def is_consistent(server: MariaDB, database: str) -> bool:
    """Return whether each client's ledger has no gap and its counter says the same."""
    wrong = server.sql(
        "SELECT c.* FROM counter c LEFT JOIN ledger l USING (site, client) GROUP BY c.site, c.client"
        " HAVING COUNT(l.seq) <> MAX(c.n) OR COALESCE(MAX(l.seq), 0) <> MAX(c.n)",
        database=database,
    )
    return not wrong


def count(server: MariaDB, database: str) -> int:
    """Return how many transactions of the clients the counters know of."""
    [(number,)] = server.sql("SELECT COALESCE(SUM(n), 0) FROM counter", database=database)
    return int(number)
