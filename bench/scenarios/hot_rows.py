"""Nine of ten updates go to the same hundred rows of 100,000; parallel replication finds little to do at once."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from bench.catchup import benchmark
from bench.clients import Clients, Transaction, values

ROWS = 100_000
HOT = range(1, ROWS, ROWS // 100)


def rows() -> Iterator[str]:
    """Create the table and fill it."""
    yield "CREATE TABLE counter (id INT PRIMARY KEY, hits INT NOT NULL, last_seen CHAR(32) NOT NULL, KEY (hits))"
    yield from values((f"({id},0,REPEAT('-',32))" for id in range(1, ROWS + 1)), "counter")


def updates(random: Random, _number: int) -> Iterator[Transaction]:
    """Yield transactions of one update."""
    while True:
        id = random.choice(HOT) if random.random() < 0.9 else random.randint(1, ROWS)
        yield [f"UPDATE counter SET hits = hits + 1, last_seen = '{random.getrandbits(128):032x}' WHERE id = {id}"]


WORKLOAD = Clients(rows, updates, transactions=100_000, clients=16)

run, describe = benchmark(WORKLOAD)
