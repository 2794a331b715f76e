"""Small rows in bursts of 2,000 single-row transactions, each burst of one kind: inserts, updates or deletes.

The clients keep no step with each other, so bursts mix a little where they meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, cycle
from random import Random

from bench.catchup import benchmark
from bench.clients import Clients, Transaction, values

CLIENTS = 8
EACH = 2_000 // CLIENTS
ROWS = 100_000


def rows() -> Iterator[str]:
    """Create the table and fill it."""
    yield "CREATE TABLE reading (id INT PRIMARY KEY, sensor SMALLINT UNSIGNED NOT NULL, value INT NOT NULL)"
    yield from values((f"({id},{id % 1000},{id * 7919 % 100_003})" for id in range(ROWS)), "reading")


def bursts(random: Random, number: int) -> Iterator[Transaction]:
    """Yield this client's part of each burst. Clients share no row: a client's ids leave its number as remainder."""
    oldest, newest = count(number, CLIENTS), count(ROWS + number, CLIENTS)
    first, end = number, ROWS
    for kind in cycle(("insert", "update", "update", "insert", "delete")):
        for _ in range(EACH):
            if kind == "insert":
                end = next(newest)
                yield [f"INSERT INTO reading VALUES ({end},{random.randrange(1000)},{random.randrange(10**6)})"]
            elif kind == "update":
                id = random.randrange(first, end, CLIENTS)
                yield [f"UPDATE reading SET value = {random.randrange(10**6, 10**9)} WHERE id = {id}"]
            else:
                first = next(oldest) + CLIENTS
                yield [f"DELETE FROM reading WHERE id = {first - CLIENTS}"]


WORKLOAD = Clients(rows, bursts, transactions=100_000, clients=CLIENTS)

run, describe = benchmark(WORKLOAD)
