"""Transactions of many rows: of ten, four are inserted, four updated, two deleted. Each client has a table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from random import Random

from bench.clients import Clients, Transaction


def large_transactions(rows_each: int, transactions: int, clients: int) -> Clients:
    """Return a workload of transactions that change ``rows_each`` rows each, and delete half of what was there."""
    deleted = -(-transactions // clients) * rows_each // 5
    return Clients(
        partial(_rows, 2 * deleted, clients), partial(_transactions, rows_each, 2 * deleted), transactions, clients
    )


def _rows(rows: int, clients: int) -> Iterator[str]:
    for number in range(clients):
        yield (
            f"CREATE TABLE ledger{number} (id INT PRIMARY KEY, account INT NOT NULL, amount DECIMAL(12,2) NOT NULL,"
            " note VARCHAR(60) NOT NULL, KEY (account))"
        )
        yield f"INSERT INTO ledger{number} SELECT seq, seq % 5000, seq / 100, MD5(seq) FROM seq_1_to_{rows}"


def _transactions(rows_each: int, rows: int, random: Random, number: int) -> Iterator[Transaction]:
    table = f"ledger{number}"
    ids, fresh = list(range(1, rows + 1)), count(rows + 1)
    tenth = rows_each // 10
    while True:
        oldest, ids = ids[: 2 * tenth], ids[2 * tenth :]
        changed = sorted(random.sample(ids, 4 * tenth))
        added = list(islice(fresh, 4 * tenth))
        ids += added
        inserted = ",".join(
            f"({id},{random.randrange(5000)},{random.randrange(10**6) / 100},'{random.getrandbits(128):032x}')"
            for id in added
        )
        yield [
            f"INSERT INTO {table} VALUES {inserted}",
            f"UPDATE {table} SET amount = amount + 1, note = CONCAT(id, '{random.getrandbits(64):x}')"
            f" WHERE id IN ({','.join(map(str, changed))})",
            f"DELETE FROM {table} WHERE id IN ({','.join(map(str, oldest))})",
        ]
